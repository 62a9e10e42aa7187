//! Certificates of an authority that the tests alone know, and connections that trust it.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use collector::tls::{Files, Sockets, Tls};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        version::{TLS12, TLS13},
    },
};
use tokio_util::either::Either;

/// A connection's bytes, whatever carries them.
pub type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;

pub const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

/// A folder with the certificate of an authority, a certificate for this machine that it signed, and its key.
pub struct Certified {
    pub folder: TempDir,
    authority: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Certified {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of the tests");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("signed");
        let certified = Self { folder: tempfile::tempdir().expect("a folder"), authority, issuer: Issuer::new(params, key) };
        fs::write(certified.authority_file(), certified.authority.pem()).expect("written");
        certified.renew();
        certified
    }

    /// Writes a new certificate with a new key; gives the certificate.
    pub fn renew(&self) -> Vec<u8> {
        self.renew_with(&KeyPair::generate().expect("a key"))
    }

    pub fn renew_with(&self, key: &KeyPair) -> Vec<u8> {
        let certificate = self.sign(key);
        let files = self.files();
        fs::write(&files.certificate, certificate.pem()).expect("written");
        write_key(&files.key, &key.serialize_pem());
        certificate.der().to_vec()
    }

    fn sign(&self, key: &KeyPair) -> Certificate {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.signed_by(key, &self.issuer).expect("signed")
    }

    pub fn authority_file(&self) -> std::path::PathBuf {
        self.folder.path().join("authority.pem")
    }

    pub fn files(&self) -> Files {
        Files { certificate: self.folder.path().join("fullchain.pem"), key: self.folder.path().join("privkey.pem") }
    }

    pub fn tls(&self) -> Tls {
        Tls::open(self.files()).expect("a certificate and its key")
    }

    /// The one socket of a door, with TLS.
    pub fn sockets(&self, listener: TcpListener) -> Sockets {
        Sockets { plain: None, tls: Some((listener, self.tls())) }
    }

    fn connector(&self, versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> TlsConnector {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.authority.der().clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config).into()
    }

    /// A connection with its handshake done.
    pub async fn try_connect(
        &self,
        address: SocketAddr,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> std::io::Result<Box<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(address).await.expect("the door listens");
        let name = "localhost".try_into().expect("a name");
        self.connector(versions, protocols).connect(name, stream).await.map(Box::new)
    }

    pub async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> Box<TlsStream<TcpStream>> {
        self.try_connect(address, BOTH, protocols).await.expect("a handshake")
    }
}

/// As authorities' programs write it: for the owner alone.
pub fn write_key(path: &Path, pem: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, pem).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("set");
}

/// A connection to a door: with TLS, where it has a certificate.
pub async fn wire(address: SocketAddr, certified: Option<&Certified>, protocols: &[&str]) -> Wire {
    match certified {
        None => Either::Left(TcpStream::connect(address).await.expect("the door listens")),
        Some(certified) => Either::Right(certified.connect(address, protocols).await),
    }
}
