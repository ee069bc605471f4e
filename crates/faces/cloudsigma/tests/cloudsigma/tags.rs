//! Tags, the library, the profile and what is used (spec, sections 6.2 to 6.8).

use cloudsigma::apply;
use serde_json::json;

use crate::house::{GIB, House, NOBODY, by, disk};

on_both! {
    a_tag_and_its_resources_are_one_relation
    a_name_of_a_tag_is_there_once
    the_library_is_told_to_everybody_and_cloned
    licences_of_a_library_clone_stay
    a_profile_is_kept
    what_is_used_is_told_with_what_is_left
}

/// Checklist 72.
async fn a_tag_and_its_resources_are_one_relation(house: House) {
    let (one, two) = (house.ana.drive("1").await, house.ana.drive("2").await);
    let server = house.ana.server(&[]).await;
    let tag = house.ana.post("tags/", json!({ "name": "t", "resources": [one, server] })).await.expect(201);
    let (id, made) = (tag.id(), tag.objects().remove(0));
    let kinds: Vec<&str> =
        made["resources"].as_array().unwrap().iter().map(|of| of["res_type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"drives") && kinds.contains(&"servers"));
    assert_eq!(house.ana.show(&one).await["tags"][0]["uuid"], id);
    let listed = house.ana.get(&format!("tags/{id}/drives/")).await.expect(200).objects();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].as_object().unwrap().len(), 4);
    assert_eq!(house.ana.get(&format!("tags/{id}/servers/detail/")).await.expect(200).objects()[0]["cpu"], 1000);
    // From the other end.
    let mut body = disk("2", GIB);
    body["tags"] = json!([id]);
    house.ana.put(&format!("drives/{two}/"), body).await.expect(200);
    assert_eq!(house.ana.get(&format!("tags/{id}/drives/detail/")).await.expect(200).objects().len(), 2);
    let told = house.ana.put(&format!("tags/{id}/"), json!({ "name": "u", "resources": [{ "uuid": two }] })).await;
    assert_eq!(told.expect(200).json()["resources"].as_array().unwrap().len(), 1);
    assert_eq!(house.ana.show(&one).await["tags"], json!([]));
    house.ben.get(&format!("tags/{id}/")).await.expect(404);
    house.ben.get(&format!("tags/{id}/drives/")).await.expect(404);
    house.ben.put(&format!("tags/{id}/"), json!({ "name": "mine" })).await.expect(404);
    house.ben.delete(&format!("tags/{id}/")).await.expect(404);
    house.ana.delete(&format!("tags/{id}/")).await.expect(204);
    assert_eq!(house.ana.show(&two).await["tags"], json!([]));
    house.ana.get(&format!("tags/{id}/")).await.expect(404);
}

async fn a_name_of_a_tag_is_there_once(house: House) {
    let drive = house.ana.drive("d").await;
    // Libcloud's form.
    let body = json!({ "objects": [{ "name": "t" }], "resources": [drive] });
    let made = house.ana.post("tags/", body).await.expect(201).objects().remove(0);
    assert_eq!(made["resources"][0]["uuid"], drive.as_str());
    assert_eq!(house.ana.post("tags/", json!({ "name": "t" })).await.expect(400).fault().1, "name");
    house.ben.post("tags/", json!({ "name": "t" })).await.expect(201);
    house.ana.post("tags/", json!({ "name": "v", "resources": [NOBODY] })).await.expect(404);
    assert_eq!(house.ana.get("tags/detail/?name=t").await.expect(200).objects().len(), 1);
    house.ana.post("tags/", json!({})).await.expect(400);
}

async fn the_library_is_told_to_everybody_and_cloned(house: House) {
    let meta =
        json!({ "os": "linux", "arch": "64", "distribution": "debian", "version": "12", "image_type": "preinst" });
    let id = house.library("Debian 12", "disk", meta.clone()).await;
    house.library("Other", "cdrom", json!({ "os": "other" })).await;
    for user in [&house.ana, &house.mallory] {
        assert_eq!(user.get("libdrives/?limit=0").await.expect(200).objects().len(), 2);
        let found = user.get("libdrives/detail/?os=linux&name__icontains=debian").await.expect(200).objects();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0]["image_type"], &found[0]["owner"]), (&json!("preinst"), &json!(null)));
        assert_eq!(user.get("drives/").await.expect(200).objects().len(), 0, "lists have the caller's own");
    }
    let one = house.ana.get(&format!("libdrives/{id}/")).await.expect(200).json();
    assert_eq!(one["resource_uri"], format!("/api/2.0/libdrives/{id}/"));
    for path in [format!("libdrives/{id}/action/?do=clone"), format!("drives/{id}/action/?do=clone")] {
        let clone = house.ana.post(&path, json!({})).await.expect(202).objects().remove(0);
        assert_eq!((&clone["meta"], &clone["storage_type"]), (&meta, &json!("dssd")));
        assert_eq!(clone["owner"]["uuid"], house.ana.id.as_str());
    }
    house.ana.post(&format!("libdrives/{id}/action/?do=resize"), json!({})).await.expect(400);
    house.ana.get(&format!("libdrives/{NOBODY}/")).await.expect(404);
    house.assert_sound().await;
}

/// Checklist 73.
async fn licences_of_a_library_clone_stay(house: House) {
    for name in ["windows_server", "sql_server"] {
        let (name, long) = (name.to_owned(), "Long Name".to_owned());
        apply::put_license(&house.store, by(), name, long, "smp".to_owned()).await.unwrap();
    }
    let listed = house.ana.get("licenses/").await.expect(200).objects();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["resource_uri"], "/api/2.0/licenses/1/");
    // On a drive of one's own they are as written.
    let mut body = disk("d", GIB);
    body["licenses"] = json!([{ "license": "/api/2.0/licenses/2/" }]);
    let made = house.ana.post("drives/", body.clone()).await.expect(201);
    let told = &made.objects()[0]["licenses"];
    assert_eq!(told, &json!([{ "amount": 1, "license": listed[1], "user": null }]));
    body["licenses"] = json!([]);
    let told = house.ana.put(&format!("drives/{}/", made.id()), body.clone()).await.expect(200).json();
    assert_eq!(told["licenses"], json!([]));
    let image = house.library("Windows", "disk", json!({})).await;
    let id: uuid::Uuid = image.parse().unwrap();
    let unit = store::Unit::by(by()).rows(move |tx| {
        let licenses = json!([{ "amount": 1, "license": "windows_server", "user": null }]).to_string();
        tx.execute("UPDATE drives SET licenses = $2 WHERE id = $1", &store::params![id, licenses]).map(drop)
    });
    house.store.write(unit).await.unwrap();
    let clone = house.ana.post(&format!("libdrives/{image}/action/?do=clone"), json!({})).await.expect(202);
    assert_eq!(clone.objects()[0]["licenses"][0]["license"]["name"], "windows_server");
    let told = house.ana.put(&format!("drives/{}/", clone.id()), body).await.expect(200).json();
    assert_eq!(told["licenses"][0]["license"]["name"], "windows_server");
}

async fn a_profile_is_kept(house: House) {
    let told = house.ana.get("profile/").await.expect(200).json();
    let seen = (&told["uuid"], &told["email"], &told["clone_naming"], &told["state"], &told["first_name"]);
    let wanted = (&json!(house.ana.id), &json!("ana@acme.example"), &json!("NONE"), &json!("REGULAR"), &json!("Ana"));
    assert_eq!(seen, wanted);
    let body = json!({ "company": "Acme", "email": "other@acme.example", "meta": { "a": "b" }, "last_name": "New" });
    let told = house.ana.put("profile/", body).await.expect(200).json();
    assert_eq!((&told["company"], &told["email"]), (&json!("Acme"), &json!("ana@acme.example")));
    assert_eq!((&told["meta"], &told["last_name"]), (&json!({ "a": "b" }), &json!("New")));
    assert_eq!(house.ben.get("profile/").await.expect(200).json()["company"], "");
}

/// Spec, sections 6.6 and 6.8; the other half of checklist 85 is with the limits.
async fn what_is_used_is_told_with_what_is_left(house: House) {
    house.ana.drive("d").await;
    house.limit_supply("disk/zadara", 3 * GIB).await;
    house.limit(house.ana.node.unwrap(), ledger::Resource::BYTES, Some(5 * GIB)).await;
    let told = house.ana.get("currentusage/?limit=0").await.expect(200).json();
    assert_eq!(told["usage"]["dssd"], json!({ "burst": 0, "subscribed": 5 * GIB, "using": GIB }));
    assert_eq!(told["usage"]["zadara"], json!({ "burst": 0, "subscribed": 3 * GIB, "using": 0 }));
    assert_eq!(told["usage"]["cpu"]["using"], 0);
    let listed = house.ana.get("subscriptions/?resource=dssd").await.expect(200).objects();
    assert_eq!((&listed[0]["amount"], listed.len()), (&json!((5 * GIB).to_string()), 1));
    assert_eq!(house.ana.get("subscriptions/?status=inactive").await.expect(200).objects().len(), 0);
}
