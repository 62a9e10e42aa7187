//! The listening sockets of the doors: `server` opens them before it starts, and runs them as one.

use std::sync::Arc;

use anyhow::Result;
use collector::{
    Ingest, mqtt,
    nng::{self, Address, Listening},
    server,
};
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::listen;
use crate::{address, settings};

/// The doors, which listen and take nothing yet.
pub struct Doors {
    http: TcpListener,
    connections_max: Option<usize>,
    mqtt: Option<TcpListener>,
    mqtt_config: mqtt::Config,
    nng: Option<Listening>,
    nng_config: nng::Config,
}

impl Doors {
    /// Opens the further doors that the settings name.
    ///
    /// # Errors
    /// `Unavailable` when an address is taken; `Invalid` when a mapping, or the NNG door, names a topic that is not taken here.
    pub async fn open(http: TcpListener, ingest: &Ingest, settings: &settings::Doors) -> Result<Self> {
        let connections_max = settings.connections_max;
        let mqtt_config = mqtt::Config { connections_max, mappings: settings.mqtt.topics.clone(), ..mqtt::Config::default() };
        let nng_config = nng::Config { connections_max, topic: settings.nng.topic.clone(), ..nng::Config::default() };
        let mut doors = Self { http, connections_max, mqtt: None, mqtt_config, nng: None, nng_config };
        if let Some(address) = &settings.mqtt.listen {
            mqtt::check_mappings(ingest, &settings.mqtt.topics)?;
            doors.mqtt = Some(listen(address, "choose another with the setting doors.mqtt.listen").await?);
        }
        if let Some(address) = &settings.nng.listen {
            nng::check_topic(ingest, &settings.nng.topic)?;
            doors.nng = Some(Listening::at(&address.parse()?).await?);
        }
        Ok(doors)
    }

    /// The further doors' names and their addresses for programs on this machine.
    pub fn addresses(&self) -> Vec<(&'static str, String)> {
        let mqtt = self.mqtt.as_ref().and_then(|listener| listener.local_addr().ok()).map(|address| address::here(address).to_string());
        let nng = self.nng.as_ref().map(|listening| match listening.address() {
            Address::Tcp(address) => Address::Tcp(address::here(*address)).to_string(),
            ipc @ Address::Ipc(_) => ipc.to_string(),
        });
        [("mqtt", mqtt), ("nng", nng)].into_iter().filter_map(|(name, address)| Some((name, address?))).collect()
    }

    /// Serves until `shutdown`; the first door that fails ends the others. They share the limit of open files.
    ///
    /// # Errors
    /// The first door's.
    pub async fn run(self, app: server::App, ingest: Arc<Ingest>, shutdown: CancellationToken) -> record::Result<()> {
        let (listeners, end) = (1 + usize::from(self.mqtt.is_some()) + usize::from(self.nng.is_some()), shutdown.child_token());
        let config = server::Config { connections_max: self.connections_max, listeners, ..server::Config::default() };
        let http = server::run(self.http, app, config, end.clone());
        let mqtt = async {
            match self.mqtt {
                Some(listener) => mqtt::run(listener, ingest.clone(), mqtt::Config { listeners, ..self.mqtt_config }, end.clone()).await,
                None => Ok(()),
            }
        };
        let nng = async {
            match self.nng {
                Some(listening) => nng::run(listening, ingest.clone(), nng::Config { listeners, ..self.nng_config }, end.clone()).await,
                None => Ok(()),
            }
        };
        let ending = |ended: record::Result<()>| ended.inspect_err(|_| end.cancel());
        let (http, mqtt, nng) = tokio::join!(http.map(ending), mqtt.map(ending), nng.map(ending));
        http.and(mqtt).and(nng)
    }
}
