//! TLS for the doors: a certificate, which is read again when its file changes, and listening with it beside a plain socket. `cli` opens
//! both; `server` and `mqtt` run on the sockets.
//!
//! files → `Tls` → `Sockets` → `Arrived` → handshake → `Stream`, which a door reads as any other
//!
//! TLS 1.2 and 1.3. Nothing is taken before the handshake has ended (no early data): what came twice on the way would be taken twice.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use record::{Error, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};
use tokio_util::{either::Either, sync::CancellationToken};

use crate::{listener::Listener, telemetry};

/// How often it is looked whether there is a new certificate.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// The largest file of a certificate or key, in bytes; they have some thousand.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate in PEM, followed by those that it was signed with, as authorities give them out.
    pub certificate: PathBuf,
    /// Its private key in PEM (PKCS#8, PKCS#1 or SEC1), without a passphrase.
    pub key: PathBuf,
}

/// A certificate that doors show. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Files,
    provider: Arc<CryptoProvider>,
    in_force: Arc<InForce>,
}

/// What the next handshake shows.
#[derive(Debug)]
struct InForce(RwLock<Arc<CertifiedKey>>);

impl InForce {
    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for InForce {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// `Invalid` names the file that cannot be used, and says how to mend it.
    pub fn open(files: Files) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let in_force = Arc::new(InForce(RwLock::new(Arc::new(files.read(&provider)?))));
        files.warn_of_readers();
        Ok(Self { files, provider, in_force })
    }

    /// Reads the files again; from then on new connections are shown what is there. Open ones go on with what they have. What cannot be
    /// used changes nothing, and is told of in the log. Gives whether there was another certificate.
    pub fn look_again(&self) -> bool {
        match self.files.read(&self.provider) {
            Err(error) => {
                telemetry::certificate_not_renewed(&error);
                false
            }
            Ok(found) if found.cert == self.in_force.get().cert => false,
            Ok(found) => {
                *self.in_force.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
                self.files.warn_of_readers();
                telemetry::certificate_renewed(&self.files.certificate);
                true
            }
        }
    }

    /// Looks again each minute, and at each SIGHUP, until `shutdown`. That signal ends the process no more from now on.
    ///
    /// # Errors
    /// `Internal` when the system lets the signal not be caught.
    pub fn follow(&self, shutdown: CancellationToken) -> Result<impl Future<Output = ()> + use<>> {
        let uncaught = |error| Error::internal("SIGHUP cannot be caught, so a new certificate would go unseen").because(error);
        let (mut hangup, tls) = (signal(SignalKind::hangup()).map_err(uncaught)?, self.clone());
        Ok(async move {
            let mut minutes = interval(LOOK_INTERVAL);
            minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    _ = minutes.tick() => {}
                    _ = hangup.recv() => {}
                }
                let tls = tls.clone();
                // A panic is in the log already; the next look is a new one.
                let _looked = tokio::task::spawn_blocking(move || tls.look_again()).await;
            }
        })
    }

    /// For a door that speaks these protocols (ALPN, RFC 7301); none where it does not matter what a client offers.
    fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.in_force) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config).into()
    }
}

impl Files {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey> {
        let unusable = |what: &'static str, path: &Path| Error::invalid(what).with("file", path.display());
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(&self.certificate)?).collect();
        let certificates = certificates.map_err(|error| unusable("the certificate cannot be read", &self.certificate).because(error))?;
        if certificates.is_empty() {
            return Err(unusable("there is no certificate in the file", &self.certificate).with(
                "expected",
                "PEM, which begins with -----BEGIN CERTIFICATE-----: the server's own first, then those that it was signed with",
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|error| {
            unusable("there is no private key in the file", &self.key)
                .with(
                    "expected",
                    "PEM, which begins with -----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY or EC PRIVATE KEY: without a passphrase",
                )
                .because(error)
        })?;
        // Told apart from a key that belongs to another certificate.
        provider.key_provider.load_private_key(key.clone_key()).map_err(|error| {
            unusable("the private key cannot be used", &self.key)
                .with("expected", "RSA, ECDSA (P-256, P-384, P-521) or Ed25519")
                .because(error)
        })?;
        CertifiedKey::from_der(certificates, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => unusable("the private key does not belong to the certificate", &self.key)
                .with("certificate", self.certificate.display())
                .with(
                    "mend",
                    "give the key that the certificate was asked for with; in the certificate's file the server's own stands first",
                ),
            error => unusable("the certificate cannot be used", &self.certificate).because(error),
        })
    }

    /// Tells of a key that every account of this machine may read.
    fn warn_of_readers(&self) {
        if fs::metadata(&self.key).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
            telemetry::key_readable_by_others(&self.key);
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: io::Error| {
        Error::invalid("a file of TLS cannot be read")
            .with("file", path.display())
            .with("mend", "name it with doors.tls.certificate or doors.tls.key; the server's account must be able to read it")
            .because(error)
    };
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(Error::invalid("too large for a certificate or key").with("file", path.display()).with("bytes_max", FILE_BYTES_MAX));
    }
    fs::read(path).map_err(failed)
}

/// The listening sockets of a door, whose connections are limited together.
#[derive(Debug)]
pub struct Sockets {
    /// Without TLS.
    pub plain: Option<TcpListener>,
    /// With TLS.
    pub tls: Option<(TcpListener, Tls)>,
}

impl From<TcpListener> for Sockets {
    fn from(plain: TcpListener) -> Self {
        Self { plain: Some(plain), tls: None }
    }
}

impl Sockets {
    /// For a door that speaks these protocols.
    pub(crate) fn speaking(self, protocols: &[&str]) -> Ports {
        Ports { plain: self.plain, tls: self.tls.map(|(listener, tls)| (listener, tls.acceptor(protocols))) }
    }
}

/// The sockets, and how TLS is agreed upon.
pub(crate) struct Ports {
    plain: Option<TcpListener>,
    tls: Option<(TcpListener, TlsAcceptor)>,
}

impl Listener for Ports {
    type Stream = Arrived;

    async fn accept(&self) -> io::Result<(Arrived, Option<IpAddr>)> {
        let plain = async {
            match &self.plain {
                Some(listener) => Listener::accept(listener).await,
                None => std::future::pending().await,
            }
        };
        let tls = async {
            match &self.tls {
                Some((listener, acceptor)) => (Listener::accept(listener).await, acceptor),
                None => std::future::pending().await,
            }
        };
        let (accepted, acceptor) = tokio::select! {
            accepted = plain => (accepted, None),
            (accepted, acceptor) = tls => (accepted, Some(acceptor.clone())),
        };
        accepted.map(|(stream, address)| (Arrived { stream, acceptor }, address))
    }
}

/// A connection of which nothing was read yet.
pub(crate) struct Arrived {
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
}

/// A connection's bytes, whatever carries them.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

impl Arrived {
    /// The connection with its handshake done, where it has one; nothing when that fails or takes too long, which is counted.
    pub(crate) async fn secured(self, door: &'static str, in_time: Duration) -> Option<Stream> {
        let Some(acceptor) = self.acceptor else { return Some(Either::Left(self.stream)) };
        // In a box of its own: what a handshake needs is not kept for the rest of the connection.
        match Box::pin(timeout(in_time, acceptor.accept(self.stream))).await {
            Ok(Ok(stream)) => Some(Either::Right(Box::new(stream))),
            Ok(Err(error)) => {
                telemetry::handshake_failed(door, reason(&error), &error);
                None
            }
            Err(late) => {
                telemetry::handshake_failed(door, "timed_out", &late.into());
                None
            }
        }
    }
}

/// The protocol that was agreed upon (ALPN).
pub(crate) fn protocol(stream: &Stream) -> Option<&[u8]> {
    match stream {
        Either::Left(_) => None,
        Either::Right(tls) => tls.get_ref().1.alpn_protocol(),
    }
}

/// Why a handshake failed, in one word.
fn reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        None => "gone",
        Some(rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. }) => "no_tls",
        // Mostly that it does not trust the certificate.
        Some(rustls::Error::AlertReceived(_)) => "client_refused",
        Some(rustls::Error::NoApplicationProtocol) => "no_common_protocol",
        Some(rustls::Error::PeerIncompatible(_)) => "no_common_version_or_suite",
        Some(_) => "other",
    }
}
