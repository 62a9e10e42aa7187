//! Who a worker is and which lease is ours, without storing either: both carry a keyed hash that only the server can make.
//!
//! A worker's secret is 16 random bytes and their signature; the worker's id is another keyed hash of the same bytes,
//! so a table of ids says nothing of the secrets (promise S1). A lease names its end and signs task, reading and worker.

use record::{Digest, Error, Key, Result, Timestamp};

/// Makes and checks workers' secrets and leases.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Key,
}

/// A new worker: the id that stands in tables, and the secret that only the worker's browser keeps.
#[derive(Clone, Debug)]
pub struct NewWorker {
    /// The id in tables.
    pub worker_id: Digest,
    /// 64 hexadecimal digits.
    pub secret: String,
}

/// Longest lease text that is looked at.
const LEASE_BYTES_MAX: usize = 64;

impl Identity {
    /// With the server's key.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    /// A worker that did not exist before.
    ///
    /// # Errors
    /// `Unavailable` when the system has no randomness to give.
    pub fn new_worker(&self) -> Result<NewWorker> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Error::unavailable("no randomness from the system").because(error))?;
        let random = Digest::of(&[&random]);
        Ok(NewWorker { worker_id: self.worker_id(&random), secret: format!("{random}{}", self.key.sign(&[b"secret", random.as_bytes()])) })
    }

    /// The worker whose secret this is; `None` when this server did not give it out.
    pub fn worker_of(&self, secret: &[u8]) -> Option<Digest> {
        let secret = std::str::from_utf8(secret).ok().filter(|secret| secret.len() == 64)?;
        let (random, signature) = secret.split_at_checked(32)?;
        let (random, signature) = (Digest::parse(random).ok()?, Digest::parse(signature).ok()?);
        same(&self.key.sign(&[b"secret", random.as_bytes()]), &signature).then(|| self.worker_id(&random))
    }

    /// A lease of a reading to a worker until a time.
    pub fn lease(&self, reading: &Digest, worker: &Digest, until: Timestamp) -> String {
        format!("{:x}.{}", until.as_micros(), self.lease_signature(reading, worker, until))
    }

    /// Until when a lease runs (it may be over); `None` when it was not given to this worker for this reading.
    pub fn lease_until(&self, lease: &str, reading: &Digest, worker: &Digest) -> Option<Timestamp> {
        let (until, signature) = Some(lease).filter(|lease| lease.len() <= LEASE_BYTES_MAX)?.split_once('.')?;
        let until = Timestamp::from_micros(i64::from_str_radix(until, 16).ok()?);
        same(&self.lease_signature(reading, worker, until), &Digest::parse(signature).ok()?).then_some(until)
    }

    fn worker_id(&self, random: &Digest) -> Digest {
        self.key.sign(&[b"worker", random.as_bytes()])
    }

    fn lease_signature(&self, reading: &Digest, worker: &Digest, until: Timestamp) -> Digest {
        self.key.sign(&[b"lease", reading.as_bytes(), worker.as_bytes(), &until.as_micros().to_le_bytes()])
    }
}

/// Compares in a time that does not tell how many bytes agree.
fn same(a: &Digest, b: &Digest) -> bool {
    a.as_bytes().iter().zip(b.as_bytes()).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}
