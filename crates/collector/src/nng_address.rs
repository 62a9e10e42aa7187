//! Where the NNG door listens: `tcp://127.0.0.1:5555`, or `ipc:///run/crowdread/nng` for programs on this machine. `cli` listens before
//! it starts, and passes the [`Listening`] on to `nng`.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use record::{Error, Result};
use tokio::net::{TcpListener, UnixListener};

/// An address as NNG's clients write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `tcp://IP:PORT`.
    Tcp(SocketAddr),
    /// `ipc://` and the absolute path of a socket.
    Ipc(PathBuf),
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let tcp = text.strip_prefix("tcp://").and_then(|address| address.parse().ok()).map(Self::Tcp);
        let ipc = text.strip_prefix("ipc://").filter(|path| Path::new(path).is_absolute()).map(|path| Self::Ipc(path.into()));
        tcp.or(ipc).ok_or_else(|| Error::invalid("expected tcp://IP:PORT or ipc:///PATH").with("found", text))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "tcp://{address}"),
            Self::Ipc(path) => write!(out, "ipc://{}", path.display()),
        }
    }
}

/// A listening socket of the door.
#[derive(Debug)]
pub struct Listening {
    address: Address,
    pub(crate) socket: Socket,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Ipc(UnixListener, SocketFile),
}

/// The socket's file, which goes with it: NNG's clients wait for one that is there.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Listening {
    /// Listens at an address. A file that a socket without a listener has left is replaced, nothing else is.
    ///
    /// # Errors
    /// `Unavailable` when the address is taken or cannot be used.
    pub async fn at(address: &Address) -> Result<Self> {
        let failed = |error: io::Error| {
            let mend = "choose another with the setting doors.nng.listen";
            Error::unavailable("cannot listen on this address").with("address", address).with("mend", mend).because(error)
        };
        let socket = match address {
            Address::Tcp(tcp) => Socket::Tcp(TcpListener::bind(tcp).await.map_err(failed)?),
            Address::Ipc(path) => Socket::Ipc(bind(path).map_err(failed)?, SocketFile::of(path)),
        };
        let address = match &socket {
            Socket::Tcp(listener) => Address::Tcp(listener.local_addr().map_err(failed)?),
            Socket::Ipc(..) => address.clone(),
        };
        Ok(Self { address, socket })
    }

    /// Where it listens: with the port that the system has chosen, if the address had the port 0.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// Whether a file is that of a socket on which nobody listens any more.
fn is_left_over(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    let asked = std::os::unix::net::UnixStream::connect(path);
    is_socket && asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl SocketFile {
    fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }
}

/// What no other file has as long as this one is there.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another server may have taken the place of one that is still ending.
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Where it stays, the next start replaces it.
            let _removed = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
