use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use axum::Router;
use axum::serve::ListenerExt as _;
use skyfleet_core::{Error, ErrorKind, Result};

/// A port that accepts connections: they wait until they are served.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Opens a port; 0 lets the system choose.
    pub(crate) fn open(host: IpAddr, port: u16) -> std::io::Result<Self> {
        let socket = TcpListener::bind((host, port))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers, until `end`; then open connections may finish what they are at.
    pub(crate) async fn serve_until(self, router: Router, end: impl Future<Output = ()> + Send + 'static) {
        let socket = match tokio::net::TcpListener::from_std(self.socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, address = %self.address, "the port cannot be served");
                return;
            }
        };
        // Answers are small and callers wait for them: they are not held back to be gathered.
        let socket = socket.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "a connection gathers small answers");
            }
        });
        if let Err(error) = axum::serve(socket, router).with_graceful_shutdown(end).await {
            tracing::error!(%error, address = %self.address, "the port is no longer served");
        }
    }

    /// Answers as long as the runtime lives.
    pub(crate) async fn serve(self, router: Router) {
        self.serve_until(router, std::future::pending()).await;
    }
}

/// The address of a host that is loopback.
pub(crate) fn loopback(host: &str) -> Result<IpAddr> {
    let bad = |what: String| Err(Error::new(ErrorKind::InvalidConfig, what).with("key", "host"));
    let address: IpAddr = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => match host.parse() {
            Ok(address) => address,
            Err(_) => {
                return bad(format!("host {host:?} is no address: 127.0.0.1, ::1 or localhost would be"));
            }
        },
    };
    match address.is_loopback() {
        true => Ok(address),
        false => bad(format!(
            "host {host} is not loopback: the simulated cloud trusts every caller, so it listens on 127.0.0.1, \
             another address of 127.0.0.0/8, or ::1 only"
        )),
    }
}

/// The four ports of a server: in a row from `base` on, or where the system has room.
pub(crate) fn bind(host: IpAddr, base: Option<u16>) -> Result<[Listener; 4]> {
    if base.is_some_and(|base| base == 0 || base > u16::MAX - 3) {
        let message = format!("port {} does not begin a row of four ports: 1 to 65532 do", base.unwrap_or(0));
        return Err(Error::new(ErrorKind::InvalidConfig, message).with("key", "port"));
    }
    let open = |offset: u16| {
        let port = base.map_or(0, |base| base + offset);
        Listener::open(host, port).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("{host} port {port} cannot be listened on: {error}"))
                .with("key", "port")
        })
    };
    Ok([open(0)?, open(1)?, open(2)?, open(3)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        for host in ["127.0.0.1", "127.8.9.10", "::1", "localhost"] {
            assert!(loopback(host).unwrap().is_loopback());
        }
        for host in ["0.0.0.0", "10.0.0.1", "::", "example.com", ""] {
            let error = loopback(host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains("127.0.0.1"), "{error}");
        }
    }

    #[test]
    fn four_ports_must_fit_and_be_free() {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for base in [0, 65_533, 65_535] {
            assert_eq!(bind(host, Some(base)).unwrap_err().kind(), ErrorKind::InvalidConfig);
        }
        let taken = Listener::open(host, 0).unwrap();
        let base = taken.address.port() - 1;
        assert_eq!(bind(host, Some(base)).unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
