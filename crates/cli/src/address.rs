//! Addresses as people type them: what a server listens on is not always what others can open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use qrcode::{QrCode, render::unicode::Dense1x2};

/// The address on which programs on this machine reach a server that listens on `address`.
pub fn here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The address that a phone in the room opens for a server that listens on `address`; this machine's own where it listens on that alone,
/// or there is no network.
pub fn in_the_room(address: SocketAddr) -> SocketAddr {
    match room_ip().filter(|_| address.ip().is_unspecified()) {
        Some(ip) => SocketAddr::new(ip, address.port()),
        None => here(address),
    }
}

/// The address under which others in the room see this machine. Asks the routing table; sends nothing.
fn room_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?; // an address of RFC 5737, for documentation only
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

/// A QR code for a terminal.
pub fn qr_code(url: &str) -> anyhow::Result<String> {
    Ok(QrCode::new(url.as_bytes())?.render::<Dense1x2>().quiet_zone(true).build())
}
