//! A name server that says what a test wants it to say: the truth, late or not
//! at all, nothing, or lies.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use super::host::Host;

/// The one name there is, as a pod asks for `winter`.
const NAME: &str = "winter.default.svc.cluster.local";
/// How long anybody may remember an answer, in seconds: as CoreDNS has it for
/// Kubernetes, and nothing here remembers anything.
const TTL: u32 = 5;
/// How often the server looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What somebody is told who asks for the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These addresses.
    Addresses(Vec<Ipv4Addr>),
    /// That there is no such name.
    NoName,
    /// That the server has failed.
    Failure,
    /// Nothing at all.
    Silence,
}

/// What is told instead of the truth, to whom, given the truth.
type Lie = Box<dyn Fn(Ipv4Addr, &[Ipv4Addr]) -> Answer + Send>;

#[derive(Default)]
struct Zone {
    listed: Vec<Ipv4Addr>,
    lie: Option<Lie>,
    delay: Duration,
    asked: BTreeMap<Ipv4Addr, u32>,
}

/// A name server.
pub struct NameServer {
    zone: Arc<Mutex<Zone>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one on `host`, which lists nobody.
    pub(super) fn start(host: Host) -> Self {
        let zone = Arc::new(Mutex::new(Zone::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let address = SocketAddr::from((host.address(), 53));
        let socket = host.within(|| UdpSocket::bind(address)).expect("nobody else is there");
        let thread = thread::spawn({
            let (zone, stop) = (Arc::clone(&zone), Arc::clone(&stop));
            move || {
                // A host is there while somebody holds it.
                let _host = host;
                serve(&Arc::new(socket), &zone, &stop);
            }
        });
        Self { zone, stop, thread: Some(thread) }
    }

    /// Lists `address` from now on.
    pub fn list(&self, address: Ipv4Addr) {
        self.zone(|zone| zone.listed.push(address));
    }

    /// Lists `address` no more.
    pub fn delist(&self, address: Ipv4Addr) {
        self.zone(|zone| zone.listed.retain(|listed| *listed != address));
    }

    /// Answers what `lie` makes of who asks and of what is listed.
    pub fn lie(&self, lie: impl Fn(Ipv4Addr, &[Ipv4Addr]) -> Answer + Send + 'static) {
        self.zone(|zone| zone.lie = Some(Box::new(lie)));
    }

    /// Answers what is listed, from now on.
    pub fn tell_the_truth(&self) {
        self.zone(|zone| zone.lie = None);
    }

    /// Answers only after so long.
    pub fn answer_after(&self, delay: Duration) {
        self.zone(|zone| zone.delay = delay);
    }

    /// How often `by` has asked so far.
    #[must_use]
    pub fn asked(&self, by: Ipv4Addr) -> u32 {
        self.zone(|zone| zone.asked.get(&by).copied().unwrap_or_default())
    }

    fn zone<T>(&self, what: impl FnOnce(&mut Zone) -> T) -> T {
        what(&mut self.zone.lock().expect("nobody panics with the zone"))
    }
}

impl fmt::Debug for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServer").finish_non_exhaustive()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &Arc<UdpSocket>, zone: &Mutex<Zone>, stop: &AtomicBool) {
    socket.set_read_timeout(Some(LOOK_EVERY)).expect("the time is not nothing");
    let mut buffer = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let (length, asker) = match socket.recv_from(&mut buffer) {
            Ok(came) => came,
            // An answer met a closed port, or nothing came.
            Err(error) if error.kind() != ErrorKind::InvalidInput => continue,
            Err(error) => panic!("the name server's socket broke: {error}"),
        };
        let IpAddr::V4(from) = asker.ip() else { continue };
        let Some((reply, delay)) = reply(&buffer[..length], from, zone) else { continue };
        let socket = Arc::clone(socket);
        let send = move || {
            thread::sleep(delay);
            // Whoever asked may be gone.
            let _ = socket.send_to(&reply, asker);
        };
        if delay.is_zero() {
            send();
        } else {
            thread::spawn(send);
        }
    }
}

/// What `from` is to be sent for a question, and after how long.
fn reply(bytes: &[u8], from: Ipv4Addr, zone: &Mutex<Zone>) -> Option<(Vec<u8>, Duration)> {
    let query = Packet::parse(bytes).ok()?;
    let mut reply = Packet::new_reply(query.id());
    reply.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
    let question = query.questions.first()?;
    reply.questions.push(question.clone());
    if question.qname.to_string() != NAME {
        *reply.rcode_mut() = RCODE::NameError;
        return Some((reply.build_bytes_vec().ok()?, Duration::ZERO));
    }
    let mut zone = zone.lock().expect("nobody panics with the zone");
    let is_for_addresses = question.qtype == QTYPE::TYPE(TYPE::A);
    *zone.asked.entry(from).or_default() += u32::from(is_for_addresses);
    let answer = match &zone.lie {
        Some(lie) => lie(from, &zone.listed),
        // Kubernetes has no name for a service of nobody.
        None if zone.listed.is_empty() => Answer::NoName,
        None => Answer::Addresses(zone.listed.clone()),
    };
    match answer {
        Answer::Silence => return None,
        Answer::NoName => *reply.rcode_mut() = RCODE::NameError,
        Answer::Failure => *reply.rcode_mut() = RCODE::ServerFailure,
        Answer::Addresses(_) if !is_for_addresses => {}
        Answer::Addresses(addresses) => {
            let record = |address: Ipv4Addr| {
                let data = RData::A(A { address: address.to_bits() });
                ResourceRecord::new(question.qname.clone(), CLASS::IN, TTL, data)
            };
            reply.answers.extend(addresses.into_iter().map(record));
        }
    }
    Some((reply.build_bytes_vec().ok()?, zone.delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);

    /// The reply's code, and how many addresses it has.
    fn told(zone: Zone, name: &str) -> Option<(u8, u8)> {
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        let (bytes, _) = reply(&query, ASKER, &Mutex::new(zone))?;
        assert_eq!((&bytes[..2], bytes[2] & 0x81, bytes[5]), (&[0, 7][..], 0x81, 1), "{bytes:?}");
        assert_eq!(bytes[12..query.len()], query[12..], "the question is repeated");
        Some((bytes[3] & 0x8f, bytes[7]))
    }

    #[test]
    fn what_is_listed_is_told_and_what_is_not_is_no_name() {
        let listed = || Zone { listed: vec![ASKER, ASKER], ..Zone::default() };
        assert_eq!(told(listed(), NAME), Some((0x80, 2)));
        assert_eq!(told(listed(), "winter"), Some((0x83, 0)));
        assert_eq!(told(Zone::default(), NAME), Some((0x83, 0)));
    }

    #[test]
    fn a_lie_is_told_instead() {
        let lying = |answer: Answer| Zone {
            lie: Some(Box::new(move |_, _| answer.clone())),
            ..Zone::default()
        };
        assert_eq!(told(lying(Answer::Addresses(vec![ASKER])), NAME), Some((0x80, 1)));
        assert_eq!(told(lying(Answer::Addresses(Vec::new())), NAME), Some((0x80, 0)));
        assert_eq!(told(lying(Answer::Failure), NAME), Some((0x82, 0)));
        assert_eq!(told(lying(Answer::Silence), NAME), None);
    }
}
