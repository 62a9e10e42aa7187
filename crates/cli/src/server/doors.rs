//! The listening sockets of the doors: `server` opens them before it starts, and runs them as one.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use collector::{
    Ingest, mqtt,
    nng::{self, Address, Listening},
    server,
    tls::{self, Sockets, Tls},
};
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::listen;
use crate::{address, settings};

/// The doors, which listen and take nothing yet.
pub struct Doors {
    http: Sockets,
    tls: Option<Tls>,
    connections_max: Option<usize>,
    mqtt: Option<Sockets>,
    mqtt_config: mqtt::Config,
    nng: Option<Listening>,
    nng_config: nng::Config,
}

impl Doors {
    /// Opens the further doors that the settings name.
    ///
    /// # Errors
    /// `Unavailable` when an address is taken; `Invalid` when a mapping, or the NNG door, names a topic that is not taken here.
    pub async fn open(http: TcpListener, tls: Option<Tls>, ingest: &Ingest, settings: &settings::Doors) -> Result<Self> {
        let connections_max = settings.connections_max;
        let mqtt_config = mqtt::Config { connections_max, mappings: settings.mqtt.topics.clone(), ..mqtt::Config::default() };
        let nng_config = nng::Config { connections_max, topic: settings.nng.topic.clone(), ..nng::Config::default() };
        let secured = async |address: &Option<String>, mend| match address.as_ref().zip(tls.clone()) {
            Some((address, tls)) => anyhow::Ok(Some((listen(address, mend).await?, tls))),
            None => Ok(None),
        };
        let http_tls = secured(&settings.tls.listen, "choose another with the setting doors.tls.listen").await?;
        let mqtt_tls = secured(&settings.mqtt.tls_listen, "choose another with the setting doors.mqtt.tls_listen").await?;
        let http = Sockets { plain: Some(http), tls: http_tls };
        let mut doors = Self { http, tls, connections_max, mqtt: None, mqtt_config, nng: None, nng_config };
        if settings.mqtt.listen.is_some() || mqtt_tls.is_some() {
            mqtt::check_mappings(ingest, &settings.mqtt.topics)?;
            let plain = match &settings.mqtt.listen {
                Some(address) => Some(listen(address, "choose another with the setting doors.mqtt.listen").await?),
                None => None,
            };
            doors.mqtt = Some(Sockets { plain, tls: mqtt_tls });
        }
        if let Some(address) = &settings.nng.listen {
            nng::check_topic(ingest, &settings.nng.topic)?;
            doors.nng = Some(Listening::at(&address.parse()?).await?);
        }
        Ok(doors)
    }

    /// The further doors' names and their addresses for programs on this machine.
    pub fn addresses(&self) -> Vec<(&'static str, String)> {
        let here = |address: SocketAddr| address::here(address).to_string();
        let https = secured_address(&self.http).map(here);
        let mqtt = self.mqtt.as_ref().and_then(|sockets| sockets.plain.as_ref()?.local_addr().ok()).map(here);
        let mqtts = self.mqtt.as_ref().and_then(secured_address).map(here);
        let nng = self.nng.as_ref().map(|listening| match listening.address() {
            Address::Tcp(address) => Address::Tcp(address::here(*address)).to_string(),
            ipc @ Address::Ipc(_) => ipc.to_string(),
        });
        [("https", https), ("mqtt", mqtt), ("mqtts", mqtts), ("nng", nng)]
            .into_iter()
            .filter_map(|(name, address)| Some((name, address?)))
            .collect()
    }

    /// Whether only this machine reaches the doors, with TLS or without.
    pub fn are_on_loopback(&self) -> bool {
        let plain = |sockets: &Sockets| sockets.plain.as_ref().and_then(|listener| listener.local_addr().ok());
        let sockets = [Some(&self.http), self.mqtt.as_ref()].into_iter().flatten();
        let addresses = sockets.flat_map(|sockets| [plain(sockets), secured_address(sockets)]).flatten();
        let nng = self.nng.as_ref().and_then(|listening| match listening.address() {
            Address::Tcp(address) => Some(*address),
            Address::Ipc(_) => None,
        });
        addresses.chain(nng).all(|address| address.ip().is_loopback())
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
        let renewing = async {
            if let Some(tls) = &self.tls {
                tls.follow(end.clone())?.await;
            }
            Ok(())
        };
        let ending = |ended: record::Result<()>| ended.inspect_err(|_| end.cancel());
        let (http, mqtt, nng, renewing) = tokio::join!(http.map(ending), mqtt.map(ending), nng.map(ending), renewing.map(ending));
        http.and(mqtt).and(nng).and(renewing)
    }
}

/// The certificate of the settings, where a door wants one.
///
/// # Errors
/// `Invalid` names the file that cannot be used, and says how to mend it.
pub fn certificate(settings: &settings::Doors) -> Result<Option<Tls>> {
    let is_wanted = settings.tls.listen.is_some() || settings.mqtt.tls_listen.is_some();
    let Some((certificate, key)) = settings.tls.certificate.as_ref().zip(settings.tls.key.as_ref()).filter(|_| is_wanted) else {
        return Ok(None);
    };
    Ok(Some(Tls::open(tls::Files { certificate: certificate.relative(), key: key.relative() })?))
}

fn secured_address(sockets: &Sockets) -> Option<SocketAddr> {
    sockets.tls.as_ref()?.0.local_addr().ok()
}
