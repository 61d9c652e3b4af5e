//! A connection on which a test says what it likes, and a peer that a test plays.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use winter_core::cluster::{Attributes, NodeId};
use winter_server::peers::frame::{Decoder, Encoder, Frame, Header};
use winter_server::peers::handshake::{
    Hello, Kind, Message, Purpose, Refusal, VERSIONS, Versions, Welcome, keys,
};
use winter_server::peers::{Reason, frame};

use crate::kit::{APPLICATION, CLUSTER, PATIENCE, address, draw};

/// A connection, and what came on it.
pub(crate) struct Raw {
    stream: TcpStream,
    came: BytesMut,
    /// All that was sent.
    pub sent: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::of(TcpStream::connect(to).await.unwrap())
    }

    fn of(stream: TcpStream) -> Self {
        Self { stream, came: BytesMut::new(), sent: Vec::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads more; false at the end.
    async fn read(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.came)).await;
        // A reset is an end as well.
        read.expect("something comes, or the end").unwrap_or(0) > 0
    }

    pub(crate) async fn message(&mut self) -> Message {
        loop {
            if let Some(message) = Message::take(&mut self.came).unwrap() {
                return message;
            }
            assert!(self.read().await, "the connection ended before a message");
        }
    }

    /// Whether something comes before the end.
    pub(crate) async fn is_answered(&mut self) -> bool {
        self.read().await
    }

    /// Waits for the end; what came before it.
    pub(crate) async fn end(&mut self) -> Bytes {
        while self.read().await {}
        self.came.split().freeze()
    }

    /// Waits for a refusal and the end.
    pub(crate) async fn refusal(&mut self) -> (Reason, String) {
        let message = self.message().await;
        assert_eq!(message.kind, Kind::Refusal);
        assert_eq!(self.end().await, "", "nothing follows");
        let refusal: Refusal = message.body().unwrap();
        (Reason::of(refusal.code), refusal.told)
    }

    /// Ends its own side.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

/// A good hello for calls.
pub(crate) fn hello() -> Hello {
    Hello {
        purpose: Purpose::Calls,
        application: APPLICATION.to_owned(),
        cluster: Some(CLUSTER),
        sender: NodeId(draw()),
        attributes: Attributes {
            address: address(([127, 0, 0, 1], 1).into()),
            name: "raw".to_owned(),
        },
        body_bytes_max: 1 << 20,
        receiver: None,
        nonce: draw(),
    }
}

pub(crate) fn said(hello: &Hello) -> Message {
    Message::new(Kind::Hello, VERSIONS, hello)
}

/// A connection that is let in.
pub(crate) struct Session {
    pub raw: Raw,
    pub encoder: Encoder,
    pub decoder: Decoder,
}

impl Session {
    /// Dials a node with a good hello.
    pub(crate) async fn open(to: SocketAddr) -> Self {
        Self::open_with(to, &hello()).await
    }

    pub(crate) async fn open_with(to: SocketAddr, hello: &Hello) -> Self {
        let mut raw = Raw::connect(to).await;
        let said = said(hello);
        raw.send(&said.bytes).await;
        let welcome = raw.message().await;
        assert_eq!(welcome.kind, Kind::Welcome);
        let (ours, theirs) = keys(&said, &welcome);
        let decoder = Decoder::new(theirs, frame::BODY_BYTES_MAX);
        let mut session = Self { raw, encoder: Encoder::new(ours), decoder };
        session.send(Header::Ping, "").await;
        assert_eq!(session.frame().await.header, Header::Pong);
        session
    }

    /// A frame's bytes, which count as sent.
    pub(crate) fn encode(&mut self, header: Header, body: impl Into<Bytes>) -> Vec<u8> {
        let mut out = BytesMut::new();
        let rest = self.encoder.encode(&header, body.into(), &mut out);
        out.extend_from_slice(&rest.unwrap_or_default());
        out.to_vec()
    }

    pub(crate) async fn send(&mut self, header: Header, body: impl Into<Bytes>) {
        let bytes = self.encode(header, body);
        self.raw.send(&bytes).await;
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        self.next().await.expect("the connection ended before a frame")
    }

    /// The next frame, or the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.raw.came).unwrap() {
                return Some(frame);
            }
            if !self.raw.read().await {
                return None;
            }
        }
    }
}

/// A peer that a test plays: what dials it is answered by hand.
pub(crate) struct Played {
    listener: TcpListener,
    pub id: NodeId,
}

impl Played {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { listener, id: NodeId(draw()) }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Takes a connection and its hello.
    pub(crate) async fn greeted(&self) -> (Raw, Message, Hello) {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut raw = Raw::of(stream);
        let message = raw.message().await;
        let hello = message.body().unwrap();
        (raw, message, hello)
    }

    pub(crate) fn welcome(&self, hello: &Hello) -> Welcome {
        Welcome {
            version: VERSIONS.newest,
            sender: self.id,
            cluster: hello.cluster,
            attributes: hello.attributes.clone(),
            body_bytes_max: 1 << 20,
            hello_nonce: hello.nonce,
            nonce: draw(),
        }
    }

    /// Lets a connection in.
    pub(crate) async fn accept(&self) -> (Session, Hello) {
        self.accept_with(VERSIONS, |_| {}).await
    }

    pub(crate) async fn accept_with(
        &self,
        versions: Versions,
        change: impl Fn(&mut Welcome),
    ) -> (Session, Hello) {
        let (mut raw, said, hello) = self.greeted().await;
        let mut welcome = self.welcome(&hello);
        change(&mut welcome);
        let welcome = Message::new(Kind::Welcome, versions, &welcome);
        raw.send(&welcome.bytes).await;
        let (theirs, ours) = keys(&said, &welcome);
        let decoder = Decoder::new(theirs, frame::BODY_BYTES_MAX);
        let mut session = Session { raw, encoder: Encoder::new(ours), decoder };
        assert_eq!(session.frame().await.header, Header::Ping);
        session.send(Header::Pong, "").await;
        (session, hello)
    }
}
