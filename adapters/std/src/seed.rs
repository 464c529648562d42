//! Randomness for a machine.

use std::io;

use heartwire_core::seed::Seed;
use zeroize::Zeroizing;

/// A seed from the operating system, for one machine.
///
/// # Errors
///
/// When the operating system has no randomness to give; there is no weaker source to fall back to.
pub fn seed() -> io::Result<Seed> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| {
        io::Error::other(format!("the operating system gave no randomness for a session id: {error}"))
    })?;
    Ok(Seed::new(*bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_operating_system_gives_seeds() {
        assert!(super::seed().is_ok());
    }
}
