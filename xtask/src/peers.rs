//! Programs of others that `doors` measures beside ours: fetched by their packages' names, started on a port and in a folder of their own,
//! with the settings under which they keep what they acknowledge, as far as they have any.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine::{self, Need, need};
use crate::workspace;

/// Apache Flume's parts: the agent with its HTTP source, the channel of files, and what that needs of Hadoop.
const FLUME: [(&str, &str, &str); 3] = [
    ("org.apache.flume", "flume-ng-node", "1.11.0"),
    ("org.apache.flume.flume-ng-channels", "flume-file-channel", "1.11.0"),
    ("org.apache.hadoop", "hadoop-client", "3.3.6"),
];

/// What the machine has to have.
const NEEDS: [Need; 4] = [
    need("java", "openjdk-17-jre-headless"),
    need("mvn", "maven"),
    need("mosquitto", "mosquitto"),
    need("mosquitto_sub", "mosquitto-clients"),
];

/// Installs what is missing; gives the folder of Flume's jars.
///
/// # Errors
/// What cannot be installed or fetched.
pub fn install() -> Result<PathBuf> {
    machine::install(&NEEDS)?;
    let jars = workspace::cache()?.join("flume-1.11.0");
    if jars.join("done").is_file() {
        return Ok(jars);
    }
    fs::create_dir_all(&jars)?;
    fs::write(jars.join("pom.xml"), pom())?;
    let mut command = Command::new("mvn");
    command.args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=."]).current_dir(&jars);
    if !command.status().context("mvn does not start")?.success() {
        bail!("mvn could not fetch Apache Flume");
    }
    fs::write(jars.join("done"), "")?;
    Ok(jars)
}

fn pom() -> String {
    let dependency = |(group, artifact, version): (&str, &str, &str)| {
        format!("<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>")
    };
    let dependencies: String = FLUME.into_iter().map(dependency).collect();
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>flume</artifactId><version>1</version>\
         <dependencies>{dependencies}</dependencies></project>\n"
    )
}

/// Flume with an HTTP source, a channel of files and a sink that drops: an event is acknowledged once it is in the channel's log.
///
/// # Errors
/// When its settings cannot be written.
pub fn flume(jars: &Path, folder: &Path, port: u16) -> Result<Command> {
    let home = folder.join("flume");
    fs::create_dir_all(&home)?;
    let settings = home.join("agent.properties");
    let at = home.display();
    fs::write(
        &settings,
        format!(
            "a.sources = s\na.channels = c\na.sinks = k\n\
             a.sources.s.type = http\na.sources.s.bind = 127.0.0.1\na.sources.s.port = {port}\na.sources.s.channels = c\n\
             a.channels.c.type = file\na.channels.c.checkpointDir = {at}/checkpoint\na.channels.c.dataDirs = {at}/data\n\
             a.sinks.k.type = null\na.sinks.k.channel = c\na.sinks.k.batchSize = 1000\n"
        ),
    )?;
    let mut command = Command::new("java");
    command.arg("-Xmx1g").arg("-cp").arg(format!("{}/*", jars.display())).arg("org.apache.flume.node.Application");
    command.args(["--no-reload-conf", "--name", "a", "--conf-file"]).arg(settings);
    Ok(command)
}

/// Mosquitto with persistence. It keeps only what somebody waits for ([`keeper`]), and writes it now and then, not before it acknowledges.
///
/// # Errors
/// When its settings cannot be written.
pub fn mosquitto(folder: &Path, port: u16) -> Result<Command> {
    let home = folder.join("mosquitto");
    fs::create_dir_all(&home)?;
    let settings = home.join("mosquitto.conf");
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    fs::write(
        &settings,
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser {user}\nset_tcp_nodelay true\n\
             persistence true\npersistence_location {}/\nautosave_interval 1\nmax_queued_messages 0\n",
            home.display()
        ),
    )?;
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(settings);
    Ok(command)
}

/// Makes the session of a subscriber that is away: from then on the broker keeps what comes for it.
///
/// # Errors
/// When the broker does not take it.
pub fn keeper(port: u16, topic: &str) -> Result<()> {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-i", "keeper", "-c", "-q", "1", "-t", topic, "-E"]);
    if !command.status().context("mosquitto_sub does not start")?.success() {
        bail!("mosquitto takes no subscriber");
    }
    Ok(())
}
