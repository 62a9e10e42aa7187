//! The doors through real sockets.

mod beacon;
mod books;
mod client;
mod clients;
mod conformance;
mod cors;
mod events;
mod hostile;
mod http;
mod http2;
mod mqtt;
mod mqtt_client;
mod mqtt_clients;
mod nng;
mod nng_client;
mod nng_clients;
mod packed;
mod property;
mod rigged;
mod tls;
mod tls_client;
mod tls_clients;
mod websocket;
