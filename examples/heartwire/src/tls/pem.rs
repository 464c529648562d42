//! What is read from PEM files. All that is wrong with one is bad usage.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use tokio_rustls::rustls::pki_types::pem::{Error, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::exit::{Failure, Outcome};
use crate::keys::sealed::warn_if_others_may_read;

/// A file above this size is a mistake: those with every authority in the world are a tenth of it.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A PEM file, and the option that named it.
#[derive(Clone, Copy, Debug)]
pub struct Pem<'a> {
    pub option: &'static str,
    pub path: &'a Path,
}

impl Pem<'_> {
    /// All certificates in it, at least one.
    pub fn certificates(self) -> Outcome<Vec<CertificateDer<'static>>> {
        let text = self.read()?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.map_err(|error| self.damaged(&error))?;
        if !certificates.is_empty() {
            return Ok(certificates);
        }
        Err(match PrivateKeyDer::from_pem_slice(&text) {
            Ok(_) => self.bad("it holds a private key and no certificate; give the certificate"),
            Err(_) => {
                self.bad("there is no certificate in it; give a PEM file (-----BEGIN CERTIFICATE-----)")
            }
        })
    }

    /// The first private key in it.
    pub fn private_key(self) -> Outcome<PrivateKeyDer<'static>> {
        let text = self.read()?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            Error::NoItemsFound if contains(&text, b"ENCRYPTED PRIVATE KEY") => self
                .bad("the private key in it is encrypted; decrypt it with `openssl pkey -in FILE -out FILE`"),
            Error::NoItemsFound if contains(&text, b"-----BEGIN CERTIFICATE-----") => {
                self.bad("it holds a certificate and no private key; give the key that belongs to it")
            }
            Error::NoItemsFound => {
                self.bad("there is no private key in it; give a PEM file (-----BEGIN PRIVATE KEY-----)")
            }
            error => self.damaged(&error),
        })?;
        if let Ok(metadata) = self.path.metadata() {
            warn_if_others_may_read(self.path, &metadata);
        }
        Ok(key)
    }

    /// It is no good.
    pub fn bad(self, what: impl Display) -> Failure {
        Failure::usage(format_args!("{} {}: {what}", self.option, self.path.display()))
    }

    fn damaged(self, error: &Error) -> Failure {
        let how: &dyn Display = match error {
            Error::MissingSectionEnd { .. } => &"a section does not end",
            Error::IllegalSectionStart { .. } => &"a section has no proper beginning",
            error => error,
        };
        self.bad(format_args!("what is in it is damaged: {how}; copy it anew"))
    }

    fn read(self) -> Outcome<Zeroizing<Vec<u8>>> {
        let cannot =
            |error| self.bad(format_args!("can't read it: {error}; check the path, and who may read it"));
        let file = File::open(self.path).map_err(cannot)?;
        // room for all of it at once, so that growing leaves no copies behind
        let room = file.metadata().map_or(0, |metadata| metadata.len().min(MAX_FILE));
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0) + 64));
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
        match bytes.len() as u64 {
            0 => Err(self.bad("it is empty; give a PEM file")),
            1..=MAX_FILE => Ok(bytes),
            _ => Err(self.bad(format_args!("over {MAX_FILE} bytes are no PEM file; check the path"))),
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
