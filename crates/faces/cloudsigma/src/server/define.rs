//! What a body says of a server (spec, section 6.1).

use serde_json::{Map, Value, json};

use crate::ids::{DriveId, TagId};
use crate::input::{self, Fields};
use crate::server::Mount;

/// The most drives of one server.
const MOUNTS_MAX: usize = 100;

/// What is kept as it was given, for it has no meaning here.
const KEPT: [&str; 13] = [
    "auto_start",
    "context",
    "cpu_model",
    "cpu_type",
    "cpus_instead_of_cores",
    "enable_numa",
    "hv_relaxed",
    "hv_tsc",
    "hypervisor",
    "nics",
    "pubkeys",
    "requirements",
    "smp",
];

/// What a server has that nobody spoke of.
pub fn defaults() -> Map<String, Value> {
    let defaults = json!({
        "allocation_pool": null,
        "auto_start": false,
        "context": true,
        "cpu_model": null,
        "cpu_type": "amd",
        "cpus_instead_of_cores": false,
        "enable_numa": false,
        "hv_relaxed": false,
        "hv_tsc": false,
        "hypervisor": "kvm",
        "meta": {},
        "nics": [],
        "pubkeys": [],
        "requirements": [],
        "smp": 1,
    });
    match defaults {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A network card as it is told: clients look for keys that they did not give.
pub fn nic(nic: Value) -> Value {
    let mut told = json!({
        "boot_order": null,
        "firewall_policy": null,
        "ip_v4_conf": null,
        "ip_v6_conf": null,
        "mac": null,
        "model": "virtio",
        "runtime": null,
        "vlan": null,
    });
    if let (Value::Object(told), Value::Object(given)) = (&mut told, nic) {
        told.extend(given);
        for key in ["ip_v4_conf", "ip_v6_conf"] {
            if let Some(Value::Object(conf)) = told.get_mut(key) {
                conf.entry("ip").or_insert(Value::Null);
            }
        }
    }
    told
}

/// A server that a body describes.
#[derive(Clone, Debug)]
pub struct Definition {
    pub name: String,
    /// The rest, as it is kept.
    pub rest: Map<String, Value>,
    /// None: they stay as they are.
    pub mounts: Option<Vec<Mount>>,
    pub tags: Option<Vec<TagId>>,
}

impl Definition {
    /// Reads it; none when a field that is needed has a fault. Faults of others are in `fields`, too.
    pub fn read(fields: &mut Fields) -> Option<Definition> {
        let (name, cpu) = (fields.need("name", input::name), fields.need("cpu", input::integer));
        let (mem, password) = (fields.need("mem", input::integer), fields.need("vnc_password", input::text));
        let mut rest = Map::new();
        rest.extend(cpu.map(|cpu| ("cpu".to_owned(), json!(cpu))));
        rest.extend(mem.map(|mem| ("mem".to_owned(), json!(mem))));
        rest.extend(password.map(|password| ("vnc_password".to_owned(), json!(password))));
        rest.extend(fields.may("meta", input::meta).map(|meta| ("meta".to_owned(), meta)));
        for key in KEPT {
            rest.extend(fields.may(key, as_given).map(|value| (key.to_owned(), value)));
        }
        let mounts = fields.may("drives", input::list(MOUNTS_MAX, mount));
        for why in mounts.iter().flat_map(|mounts| clashes(mounts)) {
            fields.fault("dev_channel", why);
        }
        let tags = fields.may("tags", input::list(1000, input::reference));
        Some(Definition { name: name?, rest, mounts, tags: tags.map(|tags| tags.into_iter().map(TagId).collect()) })
    }
}

fn as_given(value: &Value) -> Result<Value, String> {
    match value.to_string().contains("\\u0000") {
        true => Err("Null characters are not allowed".to_owned()),
        false => Ok(value.clone()),
    }
}

/// A drive on a server: its uuid alone, or an object as it is told (checklist 70).
fn mount(value: &Value) -> Result<Mount, String> {
    let Value::Object(map) = value else {
        let drive = DriveId(input::reference(value)?);
        return Ok(Mount { drive, boot_order: None, device: "virtio".to_owned(), dev_channel: String::new() });
    };
    let mut fields = Fields::new(map.clone());
    let drive = fields.need("drive", input::reference);
    let boot_order = fields.may("boot_order", input::integer);
    let device = fields.may("device", input::choice(&["virtio", "ide", "scsi"])).unwrap_or("virtio");
    let channel = fields.may("dev_channel", input::text).unwrap_or_default();
    let first = fields.into_faults().into_iter().next();
    match (drive, first) {
        (Some(drive), None) => {
            Ok(Mount { drive: DriveId(drive), boot_order, device: device.to_owned(), dev_channel: channel })
        }
        (_, fault) => Err(fault.map_or_else(String::new, |fault| fault.message)),
    }
}

/// What is wrong with the channels of a server's drives.
fn clashes(mounts: &[Mount]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, mount) in mounts.iter().enumerate() {
        let Mount { device, dev_channel, .. } = mount;
        if dev_channel.is_empty() {
            continue;
        }
        if !is_channel(device, dev_channel) {
            wrong.push(format!("\"{dev_channel}\" is no channel of {device}"));
        }
        if mounts[..place].iter().any(|other| other.device == *device && other.dev_channel == *dev_channel) {
            wrong.push(format!("{device} {dev_channel} is taken by another drive"));
        }
    }
    wrong
}

/// `controller:unit`. An ide controller has two units, and there are two (spec, section 6.1).
fn is_channel(device: &str, channel: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()));
    let parted = channel.split_once(':').and_then(|(controller, unit)| Some((number(controller)?, number(unit)?)));
    let most = if device == "ide" { 1 } else { 255 };
    parted.is_some_and(|(controller, unit)| controller <= most && unit <= most)
}

/// Gives each drive that has no channel the first free one.
pub fn fill_channels(mounts: &mut [Mount]) {
    for place in 0..mounts.len() {
        if !mounts[place].dev_channel.is_empty() {
            continue;
        }
        let device = mounts[place].device.clone();
        let units = if device == "ide" { 2 } else { 256 };
        let free = (0..).map(|unit| format!("{}:{}", unit / units, unit % units));
        let free = free
            .take(MOUNTS_MAX + 1)
            .find(|channel| !mounts.iter().any(|other| other.device == device && other.dev_channel == *channel));
        mounts[place].dev_channel = free.unwrap_or_default();
    }
}
