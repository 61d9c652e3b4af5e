//! The file of Compose: three nodes to try a cluster out with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::settings::{Node, duration, node};
use crate::variant::documents;

/// The services of the file, by name.
type Services = Map<String, Value>;

/// A claim, whether it holds, and a pointer into the first service and a value
/// there that break it.
struct Claim {
    why: &'static str,
    holds: fn(&Services) -> bool,
    breaks: (&'static str, &'static str),
}

const FIRST: &str = "winter";

const CLAIMS: &[Claim] = &[
    Claim {
        why: "every environment holds settings, and the server takes them",
        holds: |all| all.values().all(|service| read(service).is_some()),
        breaks: ("/environment", r#"{"IS_DISTRIBUTED": "true", "DNS_SERVICE": "winter"}"#),
    },
    Claim {
        why: "the first service's name is the DNS name of all nodes",
        holds: |all| {
            all.values().all(|service| {
                service["networks"] == json!({"default": {"aliases": [FIRST]}})
                    && read(service).is_some_and(|node| node.dns_service_name == FIRST)
            })
        },
        breaks: ("/networks/default/aliases", "[]"),
    },
    Claim {
        why: "a cluster is founded by as many nodes as are started, and these are three",
        holds: |all| {
            let size = |service| read(service).is_some_and(|node| node.size == 3);
            all.len() == 3 && all.values().all(size)
        },
        breaks: ("/environment/WINTER_CLUSTER_SIZE", r#""1""#),
    },
    Claim {
        why: "each node's port of clients is published, on this machine alone and apart",
        holds: |all| {
            let published: Option<BTreeSet<u16>> = all.values().map(published_port).collect();
            published.is_some_and(|ports| ports.len() == all.len() && ports.contains(&6060))
        },
        breaks: ("/ports/0", r#""127.0.0.1:6070:6060""#),
    },
    Claim {
        why: "no port is published to other machines",
        holds: |all| all.values().all(|service| published_port(service).is_some()),
        breaks: ("/ports/0", r#""6060:6060""#),
    },
    Claim {
        why: "a container is not killed before its drain is over",
        holds: |all| {
            all.values().all(|service| {
                let grace = service["stop_grace_period"].as_str().and_then(duration);
                read(service).is_some_and(|node| grace > Some(node.config.drain_timeout))
            })
        },
        breaks: ("/stop_grace_period", r#""10s""#),
    },
    Claim {
        why: "health is asked of the binary itself: there is no shell in the image",
        holds: |all| {
            let asked = json!(["CMD", "/usr/bin/winter", "cli", "TABLES"]);
            all.values().all(|service| service["healthcheck"]["test"] == asked)
        },
        breaks: ("/healthcheck/test", r#"["CMD-SHELL", "winter cli TABLES"]"#),
    },
    Claim {
        why: "the image is the one that was built, and is never pulled",
        holds: |all| {
            all.values().all(|service| {
                service["image"] == "winter:latest" && service["pull_policy"] == "never"
            })
        },
        breaks: ("/pull_policy", r#""missing""#),
    },
    Claim {
        why: "a container may do nothing but compute and talk, within a limit of memory",
        holds: |all| {
            all.values().all(|service| {
                service["read_only"] == true
                    && service["cap_drop"] == json!(["ALL"])
                    && service["security_opt"] == json!(["no-new-privileges:true"])
                    && service["privileged"].is_null()
                    && service["mem_limit"].is_string()
            })
        },
        breaks: ("/read_only", "false"),
    },
];

fn services() -> Services {
    let documents = documents("deploy/compose.yaml");
    documents[0]["services"].as_object().expect("services").clone()
}

fn read(service: &Value) -> Option<Node> {
    let variables = service["environment"].as_object()?;
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let environment: Option<BTreeMap<String, String>> = variables.iter().map(text).collect();
    node(&environment?)
}

/// The port of this machine that leads to a service's clients' port, if that is
/// the only one that is published, and to nobody else.
fn published_port(service: &Value) -> Option<u16> {
    let [only] = service["ports"].as_array()?.as_slice() else { return None };
    let (published, inner) = only.as_str()?.strip_prefix("127.0.0.1:")?.split_once(':')?;
    let inner: u16 = inner.parse().ok()?;
    (inner == read(service)?.config.port).then(|| published.parse().ok())?
}

#[test]
fn compose_runs_three_nodes_of_one_cluster() {
    let services = services();
    let broken = CLAIMS.iter().filter(|claim| !(claim.holds)(&services));
    let broken: Vec<&str> = broken.map(|claim| claim.why).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_claim_can_fail() {
    for Claim { why, holds, breaks: (pointer, value) } in CLAIMS {
        let mut services = services();
        let place = services[FIRST].pointer_mut(pointer);
        *place.expect("a change points somewhere") =
            serde_json::from_str(value).expect("a change is JSON");
        assert!(!holds(&services), "{why}: not broken by {pointer}");
    }
}
