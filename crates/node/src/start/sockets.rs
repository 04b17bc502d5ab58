//! The sockets of a node: bound before anything else, served at the end.

use super::StartError;
use crate::config::{Config, HostnameConfig};
use crate::encrypted::EncryptedSide;
use crate::enrol::FolderOffers;
use crate::ledgers::Ledgers;
use crate::operate::Operator;
use crate::witnessing;
use einhorn_ingress::control::Control;
use einhorn_ingress::devices::Devices;
use einhorn_ingress::http::{DeviceSide, Operators};
use einhorn_ingress::{doh, hostname, http, tcp, tls, udp};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

/// Sockets that are bound but not yet served.
pub(super) struct Sockets {
    tcp: Vec<std::net::TcpListener>,
    udp: Vec<Arc<std::net::UdpSocket>>,
    addresses: Vec<SocketAddr>,
    http: Option<std::net::TcpListener>,
    hostname: Option<std::net::TcpListener>,
    dot: Vec<std::net::TcpListener>,
    doh: Vec<std::net::TcpListener>,
    /// For other sites.
    pub(super) link: Option<std::net::TcpListener>,
}

impl Sockets {
    pub(super) fn bind(config: &Config) -> Result<Sockets, StartError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut sockets = Sockets {
            tcp: Vec::new(),
            udp: Vec::new(),
            addresses: Vec::new(),
            http: None,
            hostname: None,
            dot: Vec::new(),
            doh: Vec::new(),
            link: None,
        };
        for address in &config.listen {
            // TCP chooses the port where the configuration leaves it open, UDP follows.
            let listener = tcp::bind(*address)?;
            let address = listener.local_addr()?;
            sockets.udp.extend(udp::bind(address, threads)?);
            sockets.tcp.push(listener);
            sockets.addresses.push(address);
        }
        sockets.http = config.http.map(http::bind).transpose()?;
        let hostname = config.hostname_server.as_ref().map(|server| server.listen);
        sockets.hostname = hostname.map(hostname::bind).transpose()?;
        if let Some(config) = &config.tls {
            let bound = |bind: fn(SocketAddr) -> _, addresses: &[SocketAddr]| {
                addresses.iter().copied().map(bind).collect::<Result<_, _>>()
            };
            sockets.dot = bound(tls::bind, &config.dot)?;
            sockets.doh = bound(doh::bind, &config.doh)?;
        }
        let link = config.link.as_ref().map(|link| link.listen);
        sockets.link = link.map(einhorn_ingress::bind_link).transpose()?;
        Ok(sockets)
    }

    /// The same sockets once more, so that they stay open while the node starts again: what comes
    /// meanwhile waits there. Where other nodes connect is not among them.
    pub(super) fn keep(&self) -> io::Result<Sockets> {
        let all = |listeners: &[std::net::TcpListener]| -> io::Result<Vec<_>> {
            listeners.iter().map(std::net::TcpListener::try_clone).collect()
        };
        Ok(Sockets {
            tcp: all(&self.tcp)?,
            dot: all(&self.dot)?,
            doh: all(&self.doh)?,
            udp: self.udp.clone(),
            addresses: self.addresses.clone(),
            http: self.http.as_ref().map(std::net::TcpListener::try_clone).transpose()?,
            hostname: self.hostname.as_ref().map(std::net::TcpListener::try_clone).transpose()?,
            link: self.link.as_ref().map(std::net::TcpListener::try_clone).transpose()?,
        })
    }

    pub(super) fn dns(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// What encrypted listeners share, and where they listen now.
    pub(super) fn encrypted(
        &self,
        config: &Config,
        devices: Arc<dyn Devices>,
    ) -> io::Result<Option<EncryptedSide>> {
        let Some(tls) = &config.tls else { return Ok(None) };
        let addresses = |listeners: &[std::net::TcpListener]| -> io::Result<Vec<SocketAddr>> {
            listeners.iter().map(std::net::TcpListener::local_addr).collect()
        };
        let listening = [addresses(&self.dot)?, addresses(&self.doh)?];
        Ok(Some(EncryptedSide::new(tls, devices, listening)))
    }

    pub(super) fn http_address(&self) -> io::Result<Option<SocketAddr>> {
        self.http.as_ref().map(std::net::TcpListener::local_addr).transpose()
    }

    /// The hostname server, where it listens now.
    pub(super) fn hostname(&self, config: &Config) -> io::Result<Option<HostnameConfig>> {
        let server = self.hostname.as_ref().zip(config.hostname_server.as_ref());
        let bound = |(listener, server): (&std::net::TcpListener, &HostnameConfig)| {
            Ok(HostnameConfig { listen: listener.local_addr()?, zones: server.zones.clone() })
        };
        server.map(bound).transpose()
    }

    pub(super) fn serve(
        self,
        config: &Config,
        operator: &Arc<Operator>,
        ledgers: Ledgers,
        runtime: &tokio::runtime::Runtime,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let ingress = &operator.ingress;
        let _inside = runtime.enter();
        let devices = config.devices.file.as_ref().map(|_| DeviceSide {
            ingress: Arc::clone(ingress),
            offers: Arc::new(FolderOffers { data: config.data.clone() }),
        });
        for listener in self.tcp {
            runtime.spawn(tcp::serve(
                Arc::clone(ingress),
                tokio::net::TcpListener::from_std(listener)?,
            ));
        }
        if let Some(EncryptedSide { shared: encrypted, .. }) = &operator.encrypted {
            for listener in self.dot {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                runtime.spawn(tls::serve(Arc::clone(ingress), Arc::clone(encrypted), listener));
            }
            for listener in self.doh {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let (ingress, encrypted) = (Arc::clone(ingress), Arc::clone(encrypted));
                runtime.spawn(doh::serve(ingress, encrypted, listener, devices.clone()));
            }
        }
        if let Some(listener) = self.http {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let read: http::ReadLedger = Arc::new(move |site, path| ledgers.read(site, path));
            let witness = witnessing::witness(config)?.map(witnessing::answers);
            let control = Arc::clone(operator) as Arc<dyn Control>;
            let operators = config.operator_token.clone();
            let operators = operators.map(|token| Operators { token, control });
            runtime.spawn(async move {
                if let Err(error) = http::serve(listener, read, witness, operators, devices).await {
                    tracing::error!(%error, "HTTP ended");
                }
            });
        }
        if let (Some(listener), Some(server)) = (self.hostname, &config.hostname_server) {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            runtime.spawn(hostname::serve(
                Arc::clone(ingress),
                listener,
                server.zones.clone().into(),
            ));
        }
        let shares = self.udp.len() / self.addresses.len().max(1);
        self.udp
            .into_iter()
            .map(|socket| udp::serve(Arc::clone(ingress), socket, shares, Arc::clone(stop)))
            .collect::<io::Result<_>>()
            .map_err(StartError::System)
    }
}
