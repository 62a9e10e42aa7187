//! One error for all rooms: its kind says what the caller should do next.
//!
//! The mapping from kind to exit code lives in the binary.

use std::{borrow::Cow, error::Error as StdError, fmt};

/// The result of everything that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Mend the input (HTTP 4xx, exit code 2).
    Invalid,
    /// Wait and try again (HTTP 503 or 429, exit code 3).
    Unavailable,
    /// Reload what changed meanwhile, then try again (HTTP 409, exit code 1).
    Conflict,
    /// Stored bytes are not what was written; a person must look (HTTP 500, exit code 4).
    Corrupt,
    /// The part is shut down or poisoned; restart it (HTTP 503, exit code 5).
    Closed,
    /// A bug (HTTP 500, exit code 1).
    Internal,
}

impl ErrorKind {
    /// The HTTP status, for all rooms that answer over HTTP.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Conflict => 409,
            Self::Unavailable | Self::Closed => 503,
            Self::Corrupt | Self::Internal => 500,
        }
    }

    /// The kind as one lowercase word, as used in logs and problem details.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::Corrupt => "corrupt",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }
}

/// An error: its kind, what happened (lowercase, no period), context as fields, and its source.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),*) => {$(
        $(#[$doc])*
        pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
            Self::new(ErrorKind::$kind, message)
        }
    )*};
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), context: Vec::new(), source: None }
    }

    constructors! {
        /// An [`ErrorKind::Invalid`] error.
        invalid => Invalid,
        /// An [`ErrorKind::Unavailable`] error.
        unavailable => Unavailable,
        /// An [`ErrorKind::Conflict`] error.
        conflict => Conflict,
        /// An [`ErrorKind::Corrupt`] error.
        corrupt => Corrupt,
        /// An [`ErrorKind::Closed`] error.
        closed => Closed,
        /// An [`ErrorKind::Internal`] error.
        internal => Internal
    }

    /// Adds a field, such as `("file", path)` or `("line", 12)`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((name, value.to_string()));
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What a stranger may be told of it over HTTP. What broke inside is for the log: it may name files.
    pub fn public_detail(&self) -> String {
        match self.kind {
            ErrorKind::Corrupt | ErrorKind::Internal | ErrorKind::Closed => self.message.to_string(),
            ErrorKind::Invalid | ErrorKind::Unavailable | ErrorKind::Conflict => self.to_string(),
        }
    }

    /// What happened, without context and source.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The fields, in the order in which they were added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.context
    }
}

/// `message (name: value, …): source: its source …`
impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        for (index, (name, value)) in self.context.iter().enumerate() {
            write!(out, "{}{name}: {value}", if index == 0 { " (" } else { ", " })?;
        }
        if !self.context.is_empty() {
            out.write_str(")")?;
        }
        let mut source = self.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(error) = source {
            write!(out, ": {error}")?;
            // One of ours has already printed its own chain.
            source = if error.is::<Error>() { None } else { error.source() };
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
