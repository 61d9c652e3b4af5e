//! The manifests of one folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What `kubectl apply -f` of a folder makes.
pub(crate) struct Variant {
    /// The folder, from the repository's root.
    pub folder: &'static str,
    /// The name that all of its objects have, or begin with.
    pub name: String,
    /// The kind of what runs the pods.
    workload: &'static str,
    /// Everything in it.
    pub objects: Vec<Value>,
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a file.
pub(crate) fn documents(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/xtask lies two folders deep").to_owned()
}

pub(crate) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

impl Variant {
    /// Reads what kubectl would: the manifests of a folder, and not of those in it.
    pub(crate) fn read(folder: &'static str, name: &str, workload: &'static str) -> Self {
        let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_read = |name: &String| [".yaml", ".yml", ".json"].iter().any(|e| name.ends_with(e));
        let mut files: Vec<String> =
            names.filter(is_read).map(|name| format!("{folder}/{name}")).collect();
        files.sort();
        let objects = files.iter().flat_map(|file| documents(file)).collect();
        Self { folder, name: name.to_owned(), workload, objects }
    }

    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.iter().find(|o| self::kind(o) == kind && self::name(o) == name)
    }

    /// The object of a kind that has the variant's name and `suffix`.
    pub(crate) fn object(&self, kind: &str, suffix: &str) -> &Value {
        let name = format!("{}{suffix}", self.name);
        self.find(kind, &name).unwrap_or_else(|| panic!("{}: no {kind} {name}", self.folder))
    }

    /// Puts `value` where `pointer` points in an object; `false` where neither is.
    pub(crate) fn change(&mut self, kind: &str, suffix: &str, pointer: &str, value: Value) -> bool {
        let kind = if kind == "pods" { self.workload } else { kind };
        let name = format!("{}{suffix}", self.name);
        let mut objects = self.objects.iter_mut();
        let object = objects.find(|o| self::kind(o) == kind && self::name(o) == name);
        let place = object.and_then(|object| object.pointer_mut(pointer));
        place.map(|place| *place = value).is_some()
    }

    pub(crate) fn workload(&self) -> &Value {
        self.object(self.workload, "")
    }

    pub(crate) fn is_stateful(&self) -> bool {
        self.workload == "StatefulSet"
    }

    pub(crate) fn replicas(&self) -> u64 {
        self.workload()["spec"]["replicas"].as_u64().expect("a number of replicas")
    }

    pub(crate) fn selector(&self) -> &Value {
        &self.workload()["spec"]["selector"]["matchLabels"]
    }

    pub(crate) fn pod_labels(&self) -> &Value {
        &self.workload()["spec"]["template"]["metadata"]["labels"]
    }

    pub(crate) fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]["spec"]
    }

    /// The one container of a pod.
    pub(crate) fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// What a pod's environment says. A value that is no text is left out, as an
    /// API server refuses it.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let variables = self.container()["env"].as_array().expect("an environment");
        let text = |variable: &Value, key: &str| variable[key].as_str().map(str::to_owned);
        variables.iter().filter_map(|v| Some((text(v, "name")?, text(v, "value")?))).collect()
    }

    pub(crate) fn environment_length(&self) -> usize {
        self.container()["env"].as_array().map_or(0, Vec::len)
    }
}
