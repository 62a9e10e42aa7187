//! Write tokens: who may send records to which topics. `ingest` asks for every request; `cli` makes, lists and revokes them, through
//! the server's own address (`admin`) where one runs.
//!
//! A token is random and shown once. Its hash alone is kept, in one file that is written anew with each change.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use record::{Digest, Error, Result, Timestamp, Topic};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[cfg(test)]
mod tests;

/// How a token begins, so that people and scanners for leaked secrets know it.
const PREFIX: &str = "crowdread_";
/// The most tokens of a server.
const TOKENS_MAX: usize = 10_000;
/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// Why somebody may not write to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such topic here.
    UnknownTopic,
    /// The topic takes records only with a write token, and none was shown.
    NoToken,
    /// What was shown is no token of this server, or one that was revoked or has expired.
    UnknownToken,
    /// The token is for other topics.
    OtherTopic,
}

impl Refusal {
    /// A word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownTopic => "unknown_topic",
            Self::NoToken => "token_needed",
            Self::UnknownToken => "unknown_token",
            Self::OtherTopic => "token_for_other_topic",
        }
    }

    /// A sentence for people.
    pub fn detail(self) -> &'static str {
        match self {
            Self::UnknownTopic => "there is no such topic here",
            Self::NoToken => "this topic takes records only with a write token (Authorization: Bearer, or the password of MQTT)",
            Self::UnknownToken => "the token is not one of this server's, was revoked, or has expired",
            Self::OtherTopic => "the token is for other topics",
        }
    }
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// By which it is revoked: the beginning of its hash.
    pub id: String,
    /// What it is for, in its maker's words.
    pub name: String,
    /// The topics that it lets write to.
    pub topics: Vec<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Up to when it is good, RFC 3339; for ever where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl Token {
    fn expires_at(&self) -> Result<Option<Timestamp>> {
        self.expires_at.as_deref().map(Timestamp::parse).transpose()
    }
}

/// A token as the file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    hash: String,
    #[serde(flatten)]
    token: Token,
}

/// A token that was just made: the only time that it is seen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = MadeToken)]
pub struct Made {
    /// The secret, to be shown as bearer or password.
    pub secret: String,
    /// The rest.
    #[serde(flatten)]
    pub token: Token,
}

/// The tokens of a server, or of a folder that no server owns.
#[derive(Debug)]
pub struct Tokens {
    /// Nowhere for [`none`](Self::none).
    path: Option<PathBuf>,
    known: RwLock<HashMap<Digest, Token>>,
    /// Changes are made one after the other; those who are let in meanwhile do not wait for the disk.
    changing: Mutex<()>,
}

impl Tokens {
    /// No tokens, and no way to make some.
    pub fn none() -> Self {
        Self { path: None, known: RwLock::default(), changing: Mutex::default() }
    }

    /// The tokens of a file; none when it is not there.
    ///
    /// # Errors
    /// `Corrupt` when the file is something else, `Unavailable` when it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let kept: Vec<Kept> = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Error::corrupt("the file of write tokens cannot be read").with("file", path.display()).because(error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(Error::unavailable("cannot read the write tokens").with("file", path.display()).because(error));
            }
        };
        let read = |kept: Kept| kept.token.expires_at().and_then(|_| Ok((Digest::parse(&kept.hash)?, kept.token)));
        let known = kept.into_iter().map(read).collect::<Result<_>>();
        let known = known.map_err(|error| Error::corrupt("a write token cannot be read").with("file", path.display()).because(error))?;
        Ok(Self { path: Some(path.to_owned()), known: RwLock::new(known), changing: Mutex::default() })
    }

    /// Whether a token lets write to a topic now.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, secret: &[u8], topic: &Topic, now: Timestamp) -> Result<(), Refusal> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match known.get(&hash(secret)) {
            Some(token) if token.expires_at().is_ok_and(|end| end.is_some_and(|end| end <= now)) => Err(Refusal::UnknownToken),
            Some(token) if token.topics.iter().any(|name| name == topic.as_str()) => Ok(()),
            Some(_) => Err(Refusal::OtherTopic),
            None => Err(Refusal::UnknownToken),
        }
    }

    /// Every token, the oldest first.
    pub fn list(&self) -> Vec<Token> {
        let mut tokens: Vec<Token> = self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        tokens.sort_by(|a, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
        tokens
    }

    /// Makes a token. It is on stable storage when this returns.
    ///
    /// # Errors
    /// `Invalid` without topics, or with a name that is too long; `Unavailable` when it cannot be kept.
    pub fn create(&self, name: &str, topics: &[Topic], now: Timestamp, expires_at: Option<Timestamp>) -> Result<Made> {
        if topics.is_empty() {
            return Err(Error::invalid("a write token is for one topic or more: name them"));
        }
        if topics.contains(&Topic::answers()) {
            return Err(
                Error::invalid("answers come with the secret of their worker: no write token is for them").with("topic", Topic::answers())
            );
        }
        if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(Error::invalid(format!("a token's name has at most {NAME_CHARS_MAX} characters, and no control characters")));
        }
        if expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid("a token cannot expire before it is made"));
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| Error::unavailable("the operating system gives no random bytes").because(error))?;
        let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
        let hash = hash(secret.as_bytes());
        let topics = topics.iter().map(Topic::to_string).collect();
        let id = format!("{:08x}", hash.short());
        let expires_at = expires_at.map(|end| end.to_string());
        let token = Token { id, name: name.to_owned(), topics, created_at: now.to_string(), expires_at };
        self.change(|known| {
            if known.len() >= TOKENS_MAX {
                return Err(Error::invalid(format!("there are {TOKENS_MAX} write tokens: revoke some")));
            }
            if known.values().any(|other| other.id == token.id) {
                return Err(Error::unavailable("another token has the same id by chance: try again"));
            }
            known.insert(hash, token.clone());
            Ok(Made { secret, token })
        })
    }

    /// Revokes a token; it lets nobody in from now on, also after a restart.
    ///
    /// # Errors
    /// `Invalid` when there is none with this id; `Unavailable` when that cannot be kept: it is as good as before then, perhaps only until
    /// the next start, and may be revoked again.
    pub fn revoke(&self, id: &str) -> Result<Token> {
        self.change(|known| {
            let found = known.iter().find(|(_, token)| token.id == id).map(|(hash, _)| *hash);
            let none = || Error::invalid("there is no write token with this id").with("id", id.chars().take(80).collect::<String>());
            found.and_then(|hash| known.remove(&hash)).ok_or_else(none)
        })
    }

    /// Changes a copy, writes it, and lets it take the place of what is known.
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<Digest, Token>) -> Result<T>) -> Result<T> {
        let path = self.path.as_ref().ok_or_else(|| Error::invalid("this server keeps no write tokens"))?;
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let made = change(&mut changed)?;
        let mut kept: Vec<Kept> = changed.iter().map(|(hash, token)| Kept { hash: hash.to_string(), token: token.clone() }).collect();
        kept.sort_by(|a, b| a.token.created_at.cmp(&b.token.created_at));
        let written = serde_json::to_vec_pretty(&kept).map_err(std::io::Error::other).and_then(|bytes| write_durably(path, &bytes));
        written.map_err(|error| Error::unavailable("cannot write the write tokens").with("file", path.display()).because(error))?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = changed;
        Ok(made)
    }
}

/// What is kept of a token.
pub(crate) fn hash(secret: &[u8]) -> Digest {
    Digest::of(&[b"write token", secret])
}

fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}
