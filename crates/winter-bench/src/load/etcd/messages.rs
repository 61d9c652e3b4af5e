//! What is said to etcd, as far as the load needs it: `etcdserverpb` of its version 3.

/// `PutRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: bytes::Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: bytes::Bytes,
}

/// `RangeRequest` for one key. Without `serializable` it is linearizable.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: bytes::Bytes,
}

/// `RangeResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    pub(super) pairs: Vec<KeyValue>,
}

/// `mvccpb.KeyValue`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) value: bytes::Bytes,
}

/// `ResponseHeader`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    pub(super) member: u64,
}

/// `StatusRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StatusRequest {}

/// `StatusResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    pub(super) leader: u64,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn a_put_is_two_fields() {
        let put = PutRequest { key: "k".into(), value: "vv".into() };
        assert_eq!(put.encode_to_vec(), b"\x0a\x01k\x12\x02vv");
    }

    #[test]
    fn a_range_answers_with_its_pairs_whatever_else_it_says() {
        // A header, a pair of key, revisions and value, and a count.
        let bytes = b"\x0a\x02\x10\x07\x12\x09\x0a\x01k\x10\x02\x2a\x02vv\x20\x01";
        let response = RangeResponse::decode(&bytes[..]).unwrap();
        assert_eq!(response.pairs.len(), 1);
        assert_eq!(response.pairs[0].value, "vv");
    }
}
