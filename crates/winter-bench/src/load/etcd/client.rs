//! Unary gRPC calls to one member of etcd, many at a time on one connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::messages::{PutRequest, RangeRequest, RangeResponse, StatusRequest, StatusResponse};
use crate::load::LoadError;

/// A member that does not accept within this time is not there.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A message's frame: whether it is compressed, and its length.
const FRAME_HEAD_LEN: usize = 5;

/// No answer to one of these calls is longer.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// etcd answered with a status that is not 0. The connection goes on.
    Status(String),
    /// The connection or the answer is broken.
    Broken(LoadError),
}

impl From<h2::Error> for Refusal {
    fn from(error: h2::Error) -> Self {
        Self::Broken(error.into())
    }
}

/// A connection to a member.
#[derive(Debug, Clone)]
pub(super) struct Client {
    sender: SendRequest<Bytes>,
    put: Uri,
    range: Uri,
    status: Uri,
}

impl Client {
    /// Connects, and lets the connection run on the local task set.
    pub(super) async fn connect(member: SocketAddr) -> Result<Self, LoadError> {
        let uri = |path: &str| {
            Uri::try_from(format!("http://{member}/{path}")).expect("an address and a path")
        };
        let connect = timeout(CONNECT_PATIENCE, TcpStream::connect(member));
        let stream = connect
            .await
            .map_err(|_| LoadError::Silent(CONNECT_PATIENCE))?
            .map_err(LoadError::io("connecting to etcd"))?;
        stream.set_nodelay(true).map_err(LoadError::io("connecting to etcd"))?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        // What ends the connection also ends the calls on it, which say so.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Self {
            sender,
            put: uri("etcdserverpb.KV/Put"),
            range: uri("etcdserverpb.KV/Range"),
            status: uri("etcdserverpb.Maintenance/Status"),
        })
    }

    /// Writes a key.
    pub(super) async fn put(&self, key: Bytes, value: Bytes) -> Result<(), Refusal> {
        self.call(&self.put, &PutRequest { key, value }).await.map(drop)
    }

    /// Reads a key: the length of its value, if it has one.
    pub(super) async fn range(&self, key: Bytes) -> Result<Option<usize>, Refusal> {
        let answer = self.call(&self.range, &RangeRequest { key }).await?;
        let range: RangeResponse = decode(answer)?;
        Ok(range.pairs.first().map(|pair| pair.value.len()))
    }

    /// Whether this member leads.
    pub(super) async fn leads(&self) -> Result<bool, LoadError> {
        let asked = async { decode(self.call(&self.status, &StatusRequest {}).await?) };
        let status: StatusResponse = asked.await.map_err(|refusal| match refusal {
            Refusal::Status(status) => LoadError::Call(status),
            Refusal::Broken(error) => error,
        })?;
        Ok(status.header.is_some_and(|header| header.member == status.leader))
    }

    async fn call(&self, path: &Uri, message: &impl Message) -> Result<Bytes, Refusal> {
        let mut sender = self.sender.clone().ready().await?;
        let (response, mut body) = sender.send_request(request(path), false)?;
        body.send_data(frame(message), true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut answer = BytesMut::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            answer.extend_from_slice(&chunk);
            if answer.len() > ANSWER_BYTES_MAX {
                return Err(broken("an answer without end"));
            }
        }
        let trailers = body.trailers().await?;
        // A call that fails at once has its status in the head.
        check_status(trailers.as_ref().unwrap_or(&head.headers))?;
        if answer.len() < FRAME_HEAD_LEN {
            return Err(broken("an answer without a message"));
        }
        answer.advance(FRAME_HEAD_LEN);
        Ok(answer.freeze())
    }
}

fn request(path: &Uri) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.clone();
    let headers = request.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    request
}

fn frame(message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    let mut out = BytesMut::with_capacity(FRAME_HEAD_LEN + len);
    out.put_u8(0);
    out.put_u32(u32::try_from(len).expect("a load's values are short"));
    message.encode(&mut out).expect("the buffer grows");
    out.freeze()
}

fn decode<M: Message + Default>(answer: Bytes) -> Result<M, Refusal> {
    M::decode(answer).map_err(|_| broken("an answer that does not parse"))
}

fn check_status(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        Some(code) => {
            let why = text("grpc-message").unwrap_or_default();
            Err(Refusal::Status(format!("status {code} {why}")))
        }
        None => Err(broken("an answer without a status")),
    }
}

fn broken(what: &str) -> Refusal {
    Refusal::Broken(LoadError::Call(what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_framed_by_its_length() {
        let put = PutRequest { key: "k".into(), value: Bytes::new() };
        assert_eq!(frame(&put), &b"\0\0\0\0\x03\x0a\x01k"[..]);
    }

    #[test]
    fn only_status_0_is_success() {
        let headers = |status: &'static str| {
            HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                HeaderValue::from_static(status),
            )])
        };
        assert!(check_status(&headers("0")).is_ok());
        assert!(matches!(check_status(&headers("14")), Err(Refusal::Status(_))));
        assert!(matches!(check_status(&HeaderMap::new()), Err(Refusal::Broken(_))));
    }
}
