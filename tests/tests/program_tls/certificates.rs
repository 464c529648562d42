//! An authority of these tests, and certificates by it.

use std::path::{Path, PathBuf};

use heartwire_tests::program::heartwire;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::process::Command;
use tempfile::TempDir;

/// What signs certificates, and a folder for all files.
pub struct Authority {
    pub dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// One that nobody else knows, called so.
    pub fn new(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate().unwrap())
    }

    /// The same, with this key.
    pub fn with_key(name: &str, key: KeyPair) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let authority = Self { dir: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.ca(), authority.issuer.pem()).unwrap();
        authority
    }

    /// The file with its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for this machine.
    pub fn certificate(&self) -> Certificate {
        self.certificate_with("server", &["localhost", "127.0.0.1"], |_| ())
    }

    /// One for these names, and changed.
    pub fn certificate_with(
        &self,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        change(&mut params);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        self.write(file, &cert.pem(), &key.serialize_pem())
    }

    /// Files of this content.
    pub fn write(&self, file: &str, cert: &str, key: &str) -> Certificate {
        let path = |kind: &str| self.dir.path().join(format!("{file}.{kind}"));
        let files = Certificate { cert: path("pem"), key: path("key") };
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        files.key_for(0o600);
        files
    }

    /// A client that trusts it: these arguments, and `--tls-ca`.
    pub fn trusting(&self, args: &[&str]) -> Command {
        let mut command = heartwire(args);
        command.arg("--tls-ca").arg(self.ca()).env("HEARTWIRE_KEY", crate::KEY);
        command
    }
}

impl Certificate {
    /// The mode of the key's file.
    pub fn key_for(&self, mode: u32) {
        mode_of(&self.key, mode);
    }

    /// A server on a TLS port of its own with it: these arguments, and those about TLS.
    pub fn serving(&self, args: &[&str]) -> Command {
        let mut command = heartwire(args);
        command.args(["--listen", "tls://127.0.0.1:0", "--tls-cert"]).arg(&self.cert);
        command.arg("--tls-key").arg(&self.key).env("HEARTWIRE_KEY", crate::KEY);
        command
    }
}

/// Who may read a file, where files have modes.
pub fn mode_of(file: &Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let _ = (file, mode);
}
