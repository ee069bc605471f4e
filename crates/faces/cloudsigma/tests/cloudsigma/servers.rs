//! Servers, as far as drives are mounted on them (spec, section 6.1).

use serde_json::{Value, json};

use crate::house::{GIB, House, NOBODY, disk, server};

on_both! {
    a_drive_on_a_server_is_mounted
    a_drive_is_on_one_server_unless_it_may_be_shared
    start_and_stop_are_said_in_the_vendors_sentences
    a_server_goes_with_the_drives_that_the_call_names
    of_the_library_only_cdroms_can_be_mounted
    drives_come_as_ids_and_as_they_were_told
    a_clone_of_a_server_has_disks_of_its_own
    channels_do_not_clash
    servers_are_listed_and_grouped
    a_running_server_keeps_its_shape
}

/// Checklist 65.
async fn a_drive_on_a_server_is_mounted(house: House) {
    let drive = house.ana.drive("d").await;
    let id = house.ana.server(&[&drive]).await;
    let shown = house.ana.show(&drive).await;
    assert_eq!((&shown["status"], &shown["mounted_on"][0]["uuid"]), (&json!("mounted"), &json!(id)));
    house.ana.put(&format!("servers/{id}/"), server(&[])).await.expect(200);
    let shown = house.ana.show(&drive).await;
    assert_eq!((&shown["status"], &shown["mounted_on"]), (&json!("unmounted"), &json!([])));
}

/// Checklist 66.
async fn a_drive_is_on_one_server_unless_it_may_be_shared(house: House) {
    let (alone, shared, cdrom) = (house.ana.drive("a").await, house.ana.drive("s").await, house.ana.drive("c").await);
    let mut body = disk("s", GIB);
    body["allow_multimount"] = json!(true);
    house.ana.put(&format!("drives/{shared}/"), body).await.expect(200);
    let body = json!({ "name": "c", "media": "cdrom", "size": GIB });
    house.ana.put(&format!("drives/{cdrom}/"), body).await.expect(200);
    house.ana.server(&[&alone, &shared, &cdrom]).await;
    let fault = house.ana.post("servers/", server(&[&alone])).await.expect(403).fault();
    assert_eq!(fault.2, "Cannot attach drive in state \"mounted\". Drive should be in state \"unmounted\"");
    house.ana.server(&[&shared, &cdrom]).await;
    for drive in [&shared, &cdrom] {
        assert_eq!(house.ana.show(drive).await["mounted_on"].as_array().unwrap().len(), 2);
    }
    house.ana.post("servers/", server(&[NOBODY])).await.expect(404);
    house.ana.post("servers/", server(&[&cdrom, &cdrom])).await.expect(400);
}

/// Checklist 67.
async fn start_and_stop_are_said_in_the_vendors_sentences(house: House) {
    let drive = house.ana.drive("d").await;
    let id = house.ana.server(&[&drive]).await;
    let stop = house.ana.act(&id, "stop").await.expect(403).fault().2;
    let why = "Cannot stop guest in state \"stopped\". Guest should be in state \"['started', 'running_legacy']\"";
    assert_eq!(stop, why);
    let started = house.ana.act(&id, "start").await.expect(202).json();
    assert_eq!(started, json!({ "action": "start", "result": "success", "uuid": id }));
    let start = house.ana.act(&id, "start").await.expect(403).fault().2;
    assert_eq!(start, "Cannot start guest in state \"started\". Guest should be in state \"stopped\"");
    let shown = house.ana.get(&format!("servers/{id}/")).await.expect(200).json();
    assert!(shown["status"] == "running" && shown["runtime"].is_object());
    house.ana.get(&format!("servers/{id}/runtime/")).await.expect(200);
    house.ana.act(&id, "restart").await.expect(202);
    house.ana.act(&id, "shutdown").await.expect(202);
    house.ana.act(&id, "open_vnc").await.expect(403);
    house.ana.act(&id, "boil").await.expect(400);
    house.ben.act(&id, "start").await.expect(404);
    house.set_status(&drive, "unavailable").await;
    house.ana.act(&id, "start").await.expect(403);
}

/// Checklist 68.
async fn a_server_goes_with_the_drives_that_the_call_names(house: House) {
    for (recurse, disks, cdroms) in
        [("", 200, 200), ("?recurse=disks", 404, 200), ("?recurse=cdroms", 200, 404), ("?recurse=all_drives", 404, 404)]
    {
        let (one, two) = (house.ana.drive("d").await, house.ana.drive("c").await);
        let body = json!({ "name": "c", "media": "cdrom", "size": GIB });
        house.ana.put(&format!("drives/{two}/"), body).await.expect(200);
        let id = house.ana.server(&[&one, &two]).await;
        house.ana.act(&id, "start").await.expect(202);
        house.ana.delete(&format!("servers/{id}/{recurse}")).await.expect(403);
        house.ana.act(&id, "stop").await.expect(202);
        house.ana.delete(&format!("servers/{id}/?recurse=friends")).await.expect(400);
        house.ana.delete(&format!("servers/{id}/{recurse}")).await.expect(204);
        house.ana.get(&format!("servers/{id}/")).await.expect(404);
        let disk = house.ana.get(&format!("drives/{one}/")).await.expect(disks);
        let cdrom = house.ana.get(&format!("drives/{two}/")).await.expect(cdroms);
        for left in [disk, cdrom].iter().filter(|answer| answer.status == 200) {
            assert_eq!(left.json()["status"], "unmounted");
        }
    }
    house.assert_sound().await;
}

/// Checklist 69.
async fn of_the_library_only_cdroms_can_be_mounted(house: House) {
    let image = house.library("Debian", "disk", json!({ "os": "linux" })).await;
    let installer = house.library("Installer", "cdrom", json!({})).await;
    assert_eq!(house.ana.post("servers/", server(&[&image])).await.expect(403).fault().0, "permission");
    house.ana.server(&[&installer]).await;
    house.mallory.server(&[&installer]).await;
    let shown = house.ana.show(&installer).await;
    let seen = (&shown["owner"], &shown["storage_type"], &shown["status"]);
    assert_eq!(seen, (&Value::Null, &Value::Null, &json!("unmounted")));
    assert_eq!(shown["mounted_on"].as_array().unwrap().len(), 1, "others' servers are not told");
    house.ana.delete(&format!("drives/{installer}/")).await.expect(404);
    house.ana.put(&format!("drives/{installer}/"), disk("mine", GIB)).await.expect(404);
}

/// Checklist 70.
async fn drives_come_as_ids_and_as_they_were_told(house: House) {
    let (one, two) = (house.ana.drive("1").await, house.ana.drive("2").await);
    let id = house.ana.server(&[&one]).await;
    let mut body = house.ana.get(&format!("servers/{id}/")).await.expect(200).json();
    let told = json!({
        "boot_order": null, "dev_channel": "0:0", "device": "virtio", "runtime": null,
        "drive": { "resource_uri": format!("/api/2.0/drives/{one}/"), "uuid": one },
    });
    assert_eq!(body["drives"], json!([told]));
    body["drives"].as_array_mut().unwrap().push(json!(two));
    let told = house.ana.put(&format!("servers/{id}/"), body).await.expect(200).json();
    assert_eq!(told["drives"].as_array().unwrap().len(), 2);
    assert_eq!(told["drives"][1]["dev_channel"], "0:1");
    let detail = house.ana.get("servers/detail/").await.expect(200).objects();
    assert_eq!(detail, std::slice::from_ref(&told));
    assert_eq!(house.ana.put(&format!("servers/{id}/"), told.clone()).await.expect(200).json(), told);
}

/// Checklist 71.
async fn a_clone_of_a_server_has_disks_of_its_own(house: House) {
    let (disk, cdrom) = (house.ana.drive("d").await, house.ana.drive("c").await);
    let body = json!({ "name": "c", "media": "cdrom", "size": GIB });
    house.ana.put(&format!("drives/{cdrom}/"), body).await.expect(200);
    house.write(&disk, 0, b"boot").await;
    let id = house.ana.server(&[&disk, &cdrom]).await;
    let clone = house.ana.post(&format!("servers/{id}/action/?do=clone"), json!({ "name": "other" })).await.expect(202);
    let clone = clone.json();
    assert_eq!((&clone["name"], &clone["status"]), (&json!("other"), &json!("stopped")));
    let drives: Vec<&str> =
        clone["drives"].as_array().unwrap().iter().map(|drive| drive["drive"]["uuid"].as_str().unwrap()).collect();
    assert_ne!(drives[0], disk);
    assert_eq!(drives[1], cdrom);
    let shown = house.ana.until(drives[0], "mounted").await;
    assert_eq!(shown["mounted_on"][0]["uuid"], clone["uuid"]);
    let job = clone["jobs"][0]["uuid"].as_str().unwrap();
    let job = house.ana.get(&format!("jobs/{job}/")).await.expect(200).json();
    assert_eq!((&job["operation"], &job["state"]), (&json!("server_clone"), &json!("success")));
    assert_eq!(job["children"][0]["operation"], "drive_clone");
    house.ana.delete(&format!("servers/{id}/?recurse=disks")).await.expect(204);
    let server = clone["uuid"].as_str().unwrap();
    house.ana.delete(&format!("servers/{server}/")).await.expect(204);
    assert_eq!(house.ana.read(drives[0], 0, 3).await.as_ref(), b"boot");
    house.assert_sound().await;
}

async fn channels_do_not_clash(house: House) {
    let (one, two) = (house.ana.drive("1").await, house.ana.drive("2").await);
    let on =
        |drive: &str, device: &str, channel: &str| json!({ "drive": drive, "device": device, "dev_channel": channel });
    for drives in [
        json!([on(&one, "virtio", "0:0"), on(&two, "virtio", "0:0")]),
        json!([on(&one, "ide", "2:0")]),
        json!([on(&one, "ide", "0:2")]),
        json!([on(&one, "virtio", "x")]),
    ] {
        let mut body = server(&[]);
        body["drives"] = drives;
        assert_eq!(house.ana.post("servers/", body).await.expect(400).fault().1, "dev_channel");
    }
    let mut body = server(&[]);
    body["drives"] = json!([on(&one, "floppy", "0:0")]);
    assert_eq!(house.ana.post("servers/", body.clone()).await.expect(400).fault().1, "drives");
    body["drives"] = json!([on(&one, "ide", "0:0"), on(&two, "virtio", "0:0")]);
    house.ana.post("servers/", body).await.expect(201);
    let told = house.ana.post("servers/", json!({})).await.expect(400).json();
    assert_eq!(told.as_array().unwrap().len(), 4);
}

async fn servers_are_listed_and_grouped(house: House) {
    let (one, two) = (house.ana.server(&[]).await, house.ana.server(&[]).await);
    let short = house.ana.get("servers/").await.expect(200).objects();
    let keys: Vec<&str> = short[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["name", "owner", "resource_uri", "runtime", "status", "uuid"]);
    assert_eq!(house.ana.get(&format!("servers/?uuid={one}")).await.expect(200).objects().len(), 1);
    assert_eq!(house.ana.get("servers/availability_groups/").await.expect(200).json(), json!([]));
    house.ana.act(&two, "start").await.expect(202);
    assert_eq!(house.ana.get("servers/availability_groups/").await.expect(200).json(), json!([[two]]));
    assert_eq!(house.ana.get(&format!("servers/availability_groups/{one}/")).await.expect(200).json(), json!([]));
    assert_eq!(house.ana.get(&format!("servers/availability_groups/{two}/")).await.expect(200).json(), json!([two]));
    assert_eq!(house.ben.get("servers/").await.expect(200).json()["meta"]["total_count"], 0);
    house.ben.get(&format!("servers/{one}/")).await.expect(404);
    house.ben.delete(&format!("servers/{one}/")).await.expect(404);
    house.ben.put(&format!("servers/{one}/"), server(&[])).await.expect(404);
}

async fn a_running_server_keeps_its_shape(house: House) {
    let drive = house.ana.drive("d").await;
    let id = house.ana.server(&[&drive]).await;
    house.ana.act(&id, "start").await.expect(202);
    house.ana.put(&format!("servers/{id}/"), server(&[])).await.expect(403);
    let mut body = server(&[&drive]);
    body["name"] = json!("renamed");
    assert_eq!(house.ana.put(&format!("servers/{id}/"), body.clone()).await.expect(200).json()["name"], "renamed");
    body["cpu"] = json!(2000);
    house.ana.put(&format!("servers/{id}/"), body).await.expect(403);
}
