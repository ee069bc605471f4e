//! The hands of the site file.

use cloudsigma::apply::{self, LibraryDriveWanted, StorageTypeWanted};
use ledger::{AllotmentId, Side};
use serde_json::json;
use store::{NewAllotment, Unit};

use crate::house::{GIB, House, by};

on_both! {
    a_library_drive_is_made_once_and_goes
    an_image_is_filled_from_its_file
    a_licence_keeps_its_number
    a_type_with_folders_of_its_own_keeps_its_drives_there
}

fn wanted(name: &str) -> LibraryDriveWanted {
    LibraryDriveWanted {
        id: None,
        name: name.to_owned(),
        media: "disk".to_owned(),
        size: GIB,
        image: None,
        meta: json!({ "os": "linux" }),
    }
}

async fn a_library_drive_is_made_once_and_goes(house: House) {
    for _ in 0..2 {
        apply::put_library_drive(&house.store, by(), wanted("Debian")).await.unwrap();
    }
    let listed = house.ana.get("libdrives/").await.expect(200).objects();
    assert_eq!(listed.len(), 1);
    let other = LibraryDriveWanted { meta: json!({ "os": "bsd" }), ..wanted("Debian") };
    apply::put_library_drive(&house.store, by(), other).await.unwrap();
    assert_eq!(house.ana.get("libdrives/").await.expect(200).objects()[0]["os"], "bsd");
    let larger = LibraryDriveWanted { size: 2 * GIB, ..wanted("Debian") };
    assert!(apply::put_library_drive(&house.store, by(), larger).await.is_err());
    // It takes what there is, and nobody's room.
    assert_eq!(house.used("disk/dssd").await, GIB);
    let id = listed[0]["uuid"].as_str().unwrap();
    let clone = house.ana.post(&format!("libdrives/{id}/action/?do=clone"), json!({})).await.expect(202).id();
    apply::remove_library_drive(&house.store, by(), "Debian".to_owned()).await.unwrap();
    assert_eq!(house.ana.get("libdrives/").await.expect(200).objects().len(), 0);
    house.ana.show(&clone).await;
    house.assert_sound().await;
}

async fn an_image_is_filled_from_its_file(house: House) {
    let file = house.folder.path().join("image.raw");
    std::fs::write(&file, b"an image").unwrap();
    let image = Some(file.display().to_string());
    apply::put_library_drive(&house.store, by(), LibraryDriveWanted { image, ..wanted("Filled") }).await.unwrap();
    for _ in 0..1000 {
        if !house.ana.get("libdrives/").await.expect(200).objects().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let id = house.ana.get("libdrives/").await.expect(200).objects()[0]["uuid"].as_str().unwrap().to_owned();
    let clone = house.ana.post(&format!("libdrives/{id}/action/?do=clone"), json!({})).await.expect(202).id();
    assert_eq!(house.ana.read(&clone, 0, 8).await.as_ref(), b"an image\0");
}

async fn a_licence_keeps_its_number(house: House) {
    let put = async |name: &str, long: &str| {
        apply::put_license(&house.store, by(), name.to_owned(), long.to_owned(), "smp".to_owned()).await.unwrap();
    };
    put("one", "One").await;
    put("two", "Two").await;
    put("one", "First").await;
    let listed = house.ana.get("licenses/").await.expect(200).objects();
    assert_eq!(
        (&listed[0]["long_name"], &listed[0]["resource_uri"]),
        (&json!("First"), &json!("/api/2.0/licenses/1/"))
    );
    apply::remove_license(&house.store, by(), "one".to_owned()).await.unwrap();
    assert_eq!(house.ana.get("licenses/").await.expect(200).objects().len(), 1);
}

async fn a_type_with_folders_of_its_own_keeps_its_drives_there(house: House) {
    let allotment = AllotmentId(house.store.new_id());
    let parent = Some(store::AllotmentRef::Path(Side::Supply, "disk".to_owned()));
    let new = NewAllotment { side: Side::Supply, ..NewAllotment::new(allotment, parent, "magnetic".parse().unwrap()) };
    let folders = ["one", "two"].map(|name| house.folder.path().join(name));
    folders.iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    let wanted = StorageTypeWanted {
        name: "magnetic".to_owned(),
        allotment,
        default: false,
        size_min: Some(GIB / 4),
        size_max: Some(GIB),
        places: json!({ "paths": folders }),
    };
    let unit = Unit::by(by()).create_allotment(new);
    house.store.write(unit.rows(move |tx| apply::put_storage_type(tx, &wanted))).await.unwrap();
    // Its own bounds, and its own folders, from then on.
    let body = |size: u64| json!({ "name": "d", "media": "disk", "size": size, "storage_type": "magnetic" });
    house.ana.post("drives/", body(GIB + 1)).await.expect(400);
    let first = house.ana.post("drives/", body(GIB / 4)).await.expect(201).id();
    let second = house.ana.post(&format!("drives/?avoid={first}"), body(GIB / 4)).await.expect(201).id();
    for drive in [&first, &second] {
        house.write(drive, 0, b"here").await;
    }
    let has_files = |folder: &std::path::PathBuf| std::fs::read_dir(folder).unwrap().next().is_some();
    assert!(folders.iter().all(has_files));
    house.assert_sound().await;
}
