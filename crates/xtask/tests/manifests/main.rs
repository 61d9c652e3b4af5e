//! What the manifests of Kubernetes and Compose have to say.
//!
//! Their form is checked against Kubernetes's schemas by `cargo xtask check
//! manifests`. Here is checked what no schema knows: that they agree with the
//! table of settings and with each other, and that no line is lost on which a
//! cluster's data depends. Each rule is a function from the manifests to what
//! breaks it, beside a change that breaks it: a check that cannot fail is a defect.

#![expect(clippy::panic, reason = "what a test cannot read fails it")]

mod compose;
mod network;
mod pods;
mod settings;
mod variant;
mod workload;

use serde_json::Value;

use variant::Variant;

/// Something that has to hold for each variant.
struct Rule {
    /// What is said when it does not.
    why: &'static str,
    /// Whether it holds.
    holds: fn(&Variant) -> bool,
    /// Changes after each of which it does not: an object's kind and name without
    /// the variant's, a pointer into it, and what is put there.
    breaks: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

fn rules() -> impl Iterator<Item = &'static Rule> {
    [pods::RULES, network::RULES, workload::RULES].into_iter().flatten()
}

fn stateful_set() -> Variant {
    Variant::read("k8s", "winter", "StatefulSet")
}

fn deployment() -> Variant {
    Variant::read("k8s/deployment", "winter-deployment", "Deployment")
}

fn both() -> [Variant; 2] {
    [stateful_set(), deployment()]
}

#[test]
fn each_variant_keeps_the_rules() {
    for variant in both() {
        let broken: Vec<&str> =
            rules().filter(|rule| !(rule.holds)(&variant)).map(|rule| rule.why).collect();
        assert!(broken.is_empty(), "{}: {broken:#?}", variant.folder);
    }
}

#[test]
fn each_rule_can_fail() {
    for rule in rules() {
        assert!(!rule.breaks.is_empty(), "{}: nothing breaks it", rule.why);
        for &(kind, suffix, pointer, value) in rule.breaks {
            let mut tried = 0;
            for mut variant in both() {
                let value: Value = serde_json::from_str(value).expect("a change is JSON");
                if variant.change(kind, suffix, pointer, value) {
                    tried += 1;
                    assert!(!(rule.holds)(&variant), "{}: not broken by {pointer}", rule.why);
                }
            }
            assert!(tried > 0, "{}: there is no {kind}{suffix} with {pointer}", rule.why);
        }
    }
}

/// `kubectl apply` of both has to make both, and neither may take the other's pods.
#[test]
fn the_variants_share_no_name_and_no_pod() {
    let (one, other) = (stateful_set(), deployment());
    for object in &one.objects {
        let (kind, name) = (variant::kind(object), variant::name(object));
        assert!(other.find(kind, name).is_none(), "{kind} {name} is in both variants");
    }
    for (a, b) in [(&one, &other), (&other, &one)] {
        assert!(!network::selected(a.selector(), b.pod_labels()), "{} takes pods", a.folder);
        assert_ne!(a.environment()["DNS_SERVICE_NAME"], b.environment()["DNS_SERVICE_NAME"]);
        assert_ne!(
            a.environment()["DNS_APPLICATION_NAME"],
            b.environment()["DNS_APPLICATION_NAME"]
        );
    }
}

/// What a pod is does not depend on how many there are, nor on what keeps them.
#[test]
fn the_variants_run_the_same_pod() {
    let template = |variant: &Variant| variant.workload()["spec"]["template"].to_string();
    let ours = template(&deployment()).replace("winter-deployment", "winter");
    assert_eq!(ours.replace(r#""value":"5""#, r#""value":"3""#), template(&stateful_set()));
}

#[test]
fn the_stateful_set_has_three_nodes_and_the_deployment_five() {
    assert_eq!((stateful_set().replicas(), deployment().replicas()), (3, 5));
}
