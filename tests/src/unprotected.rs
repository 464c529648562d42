//! A protection that accepts everything: lets a fuzzer past the checksums and the MAC, without a
//! feature of the library that could.

use heartwire_core::error::Error;
use heartwire_core::wire::envelope::{Guard, Prefix, Protection};

/// Accepts every frame and signs none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unprotected;

impl Protection for Unprotected {
    type Prepared = ();

    fn prepare(&self, _: &[u8]) {}

    fn check_header(&self, _: &Prefix, _: &[u8], (): &()) -> Result<(), Error> {
        Ok(())
    }

    fn check_frame(&mut self, _: &Prefix, _: &[u8], (): &(), _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn guard(&self, _: &[u8], (): &(), _: &[u8]) -> Guard {
        Guard { header_crc: 0, content_crc: 0, mac: [0; 32] }
    }
}
