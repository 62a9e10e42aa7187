//! `crowdread token create|list|revoke`

use anyhow::Result;
use clap::Subcommand;
use collector::{
    admin::{NewToken, TokenList},
    tokens::{Made, Token, Tokens},
};
use record::{Clock, Error, SystemClock, Timestamp, Topic};
use reqwest::Method;

use super::{DataPlace, Source, open, runtime};
use crate::{
    console::{print, say},
    folder::{Claim, Folder},
    owner,
    server::TOKENS_FILE,
    settings::Settings,
};

const DAY_US: i64 = 86_400_000_000;

/// Make, list and revoke write tokens: who may send records to which topics
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token. It is printed once and kept nowhere: only its hash is
    Create {
        #[command(flatten)]
        place: DataPlace,
        /// A topic that it lets write to; may be given several times
        #[arg(long = "topic", value_name = "TOPIC", required = true)]
        topics: Vec<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        name: String,
        /// After how many days it lets nobody in any more [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=36_500))]
        expires_in_days: Option<i64>,
        /// Print one JSON object instead of the token alone
        #[arg(long)]
        json: bool,
    },
    /// List the tokens, without the secrets
    List {
        #[command(flatten)]
        place: DataPlace,
        /// Print one JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token: it lets nobody in from now on
    Revoke {
        #[command(flatten)]
        place: DataPlace,
        /// Its id, as the list has it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Create { place, topics, name, expires_in_days, json } => {
            let now = SystemClock::new().now();
            let expires_at = expires_in_days.map(|days| now.plus_micros(days * DAY_US).to_string());
            let made = create(&place.settings()?, NewToken { name, topics, expires_at }, now)?;
            say(format_args!("token {} for {}; it is shown this once:", made.token.id, made.token.topics.join(", ")));
            print(if json { serde_json::to_string(&made)? } else { made.secret })?;
            Ok(())
        }
        Command::List { place, json } => {
            let tokens = match open(&place.settings()?.data)? {
                Source::Folder(folder) => Tokens::open(&folder.join(TOKENS_FILE))?.list(),
                Source::Server(server) => runtime()?.block_on(owner::ask::<TokenList>(&server, "/v1/tokens"))?.tokens,
            };
            if json {
                return Ok(print(serde_json::to_string(&TokenList { tokens })?)?);
            }
            if tokens.is_empty() {
                say("no write tokens yet: `crowdread token create --topic TOPIC` makes one");
            }
            Ok(tokens.iter().try_for_each(|token| print(line(token)))?)
        }
        Command::Revoke { place, id } => {
            let token = match open(&place.settings()?.data)? {
                Source::Folder(folder) => Tokens::open(&folder.join(TOKENS_FILE))?.revoke(&id)?,
                Source::Server(server) => {
                    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                        return Err(Error::invalid("this is no id of a write token: `crowdread token list` has them")
                            .with("id", id)
                            .into());
                    }
                    let path = format!("/v1/tokens/{id}");
                    runtime()?.block_on(owner::send::<Token>(&server, Method::DELETE, &path, None::<&()>))?
                }
            };
            say(format_args!("revoked: {}", line(&token)));
            Ok(())
        }
    }
}

fn create(settings: &Settings, new: NewToken, now: Timestamp) -> Result<Made> {
    match source(settings)? {
        Source::Server(server) => runtime()?.block_on(owner::send(&server, Method::POST, "/v1/tokens", Some(&new))),
        Source::Folder(folder) => {
            let unknown = |name: &&String| !settings.topics.contains_key(*name);
            if let Some(name) = new.topics.iter().find(unknown) {
                let known = settings.topics.keys().cloned().collect::<Vec<_>>().join(", ");
                return Err(Error::invalid("there is no such topic in the settings").with("topic", name).with("known", known).into());
            }
            let topics = new.topics.iter().map(|name| Topic::parse(name)).collect::<record::Result<Vec<_>>>()?;
            let expires_at = new.expires_at.as_deref().map(Timestamp::parse).transpose()?;
            Ok(Tokens::open(&folder.join(TOKENS_FILE))?.create(&new.name, &topics, now, expires_at)?)
        }
    }
}

/// The folder, made when it is not there: a token may be the first thing in it.
fn source(settings: &Settings) -> Result<Source> {
    Ok(match Folder::claim(&settings.data)? {
        Claim::Ours(folder) => Source::Folder(folder),
        Claim::Owned(owner) => Source::Server(owner),
    })
}

fn line(token: &Token) -> String {
    let end = token.expires_at.as_deref().map_or_else(String::new, |end| format!("  until {end}"));
    format!("{}  {}  made {}{end}  {}", token.id, token.topics.join(","), token.created_at, token.name)
}
