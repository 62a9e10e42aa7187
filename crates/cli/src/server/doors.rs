//! The listening sockets of the doors: `server` opens them before it starts, and runs them as one.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use collector::{Ingest, mqtt, server};
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::listen;
use crate::{address, settings};

/// The doors, which listen and take nothing yet.
pub struct Doors {
    http: TcpListener,
    mqtt: Option<TcpListener>,
    mqtt_config: mqtt::Config,
}

impl Doors {
    /// Opens the further doors that the settings name.
    ///
    /// # Errors
    /// `Unavailable` when an address is taken; `Invalid` when a mapping names a topic that is not taken here.
    pub async fn open(http: TcpListener, ingest: &Ingest, settings: &settings::Doors) -> Result<Self> {
        let mut doors =
            Self { http, mqtt: None, mqtt_config: mqtt::Config { mappings: settings.mqtt.topics.clone(), ..mqtt::Config::default() } };
        if let Some(address) = &settings.mqtt.listen {
            mqtt::check_mappings(ingest, &settings.mqtt.topics)?;
            doors.mqtt = Some(listen(address, "choose another with the setting doors.mqtt.listen").await?);
        }
        Ok(doors)
    }

    /// The address of the MQTT door for programs on this machine, if there is one.
    pub fn mqtt_address(&self) -> Option<SocketAddr> {
        self.mqtt.as_ref()?.local_addr().ok().map(address::here)
    }

    /// Serves until `shutdown`; the first door that fails ends the others. They share the limit of open files.
    ///
    /// # Errors
    /// The first door's.
    pub async fn run(self, app: server::App, ingest: Arc<Ingest>, shutdown: CancellationToken) -> record::Result<()> {
        let (listeners, end) = (1 + usize::from(self.mqtt.is_some()), shutdown.child_token());
        let http = server::run(self.http, app, server::Config { listeners, ..server::Config::default() }, end.clone());
        let mqtt = async {
            match self.mqtt {
                Some(listener) => mqtt::run(listener, ingest, mqtt::Config { listeners, ..self.mqtt_config }, end.clone()).await,
                None => Ok(()),
            }
        };
        let ending = |ended: record::Result<()>| ended.inspect_err(|_| end.cancel());
        let (http, mqtt) = tokio::join!(http.map(ending), mqtt.map(ending));
        http.and(mqtt)
    }
}
