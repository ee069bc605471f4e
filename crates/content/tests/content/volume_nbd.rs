//! The clients that people have: libnbd's and qemu's.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use content::volume::Source;

use crate::support::*;
use crate::volume_support::*;

fn nbdinfo(arguments: &[&str]) -> String {
    ran("libnbd-bin", "nbdinfo", arguments)
}

fn nbdcopy(from: &str, to: &str) {
    ran("libnbd-bin", "nbdcopy", &["--", from, to]);
}

fn qemu_io(url: &str, commands: &[&str]) -> String {
    let mut arguments = vec!["-f", "raw"];
    commands.iter().for_each(|command| arguments.extend(["-c", command]));
    arguments.push(url);
    let said = ran("qemu-utils", "qemu-io", &arguments);
    assert!(!said.to_lowercase().contains("error") && !said.contains("failed"), "{said}");
    said
}

fn raw(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_write_comes_back_also_after_clone_and_snapshot() {
    for ground in grounds() {
        let mut lab = ground.lab(4 << 30).await;
        let (volume, size) = (lab.create(40 * MIB + 16384).await, 40 * MIB + 16384);
        let url = lab.site.volumes().export_nbd("drive-1", volume, false).await.unwrap();
        let told = nbdinfo(&["--json", &url]);
        for fact in ["\"export-size\": 41959424", "\"can_multi_conn\": true", "\"can_trim\": true", "\"can_fua\": true"]
        {
            assert!(told.contains(fact), "{fact} in {told}");
        }
        let bytes = noise(1, size);
        let file = raw(&bytes);
        nbdcopy(file.path().to_str().unwrap(), &url);
        lab.wrote(volume, 0, &bytes);
        let snapshot = lab.snapshot(volume).await;
        let clone = lab.clone_of(volume).await;
        qemu_io(
            &url,
            &["write -P 7 1000 70000", "write -z 5M 1M", "discard 8M 3M", "write -f -P 9 40M 16384", "flush"],
        );
        lab.wrote(volume, 1000, &[7; 70000]);
        lab.wrote(volume, 5 * MIB, &vec![0; MIB as usize]);
        lab.wrote(volume, 8 * MIB, &vec![0; 3 * MIB as usize]);
        lab.wrote(volume, 40 * MIB, &[9; 16384]);
        qemu_io(&url, &["read -P 7 1000 70000", "read -P 0 8M 3M", "read -P 9 40M 16384"]);
        let copy = tempfile::NamedTempFile::new().unwrap();
        let to = copy.path().to_str().unwrap();
        ran("qemu-utils", "qemu-img", &["convert", "-f", "raw", "-O", "raw", &url, to]);
        assert!(std::fs::read(copy.path()).unwrap() == lab.volumes[&volume]);
        let second = lab.site.volumes().export_nbd("drive-2", clone, true).await.unwrap();
        assert!(nbdinfo(&["--list", &url.replace("drive-1", "")]).contains("drive-2"));
        nbdcopy(&second, to);
        assert!(std::fs::read(copy.path()).unwrap() == lab.volumes[&clone]);
        let wrote = run("qemu-utils", "qemu-io", &["-f", "raw", "-c", "write 0 512", &second]);
        assert!(!wrote.status.success(), "it was given out for reading");
        lab.site.volumes().end_nbd("drive-1").await.unwrap();
        assert!(!run("libnbd-bin", "nbdinfo", &[&url]).status.success());
        lab.site.volumes().end_nbd("drive-1").await.unwrap();
        lab.site.volumes().stop().await;
        assert!(lab.site.all(Source::Snapshot(snapshot)).await == bytes);
        lab.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_given_out_is_branched_between_two_writes_of_its_client() {
    for ground in grounds() {
        let mut lab = ground.lab(4 << 30).await;
        let volume = lab.create(16 * MIB).await;
        let url = lab.site.volumes().export_nbd("it", volume, false).await.unwrap();
        // Blocks are written once each, in order: a snapshot has a beginning of them.
        let writer = {
            let url = url.clone();
            std::thread::spawn(move || {
                let commands: Vec<String> =
                    (0..64).map(|at| format!("write -P {} {}k 256k", at + 1, at * 256)).collect();
                qemu_io(&url, &commands.iter().map(String::as_str).collect::<Vec<_>>());
            })
        };
        let mut made = Vec::new();
        while !writer.is_finished() {
            made.push(Source::Snapshot(lab.snapshot(volume).await));
            made.push(Source::Volume(lab.clone_of(volume).await));
        }
        writer.join().unwrap();
        (0..64).for_each(|at| lab.wrote(volume, at * 256 * 1024, &[at as u8 + 1; 256 * 1024]));
        for source in made {
            let bytes = lab.site.all(source).await;
            let written = (0..64).take_while(|at| bytes[at * 256 * 1024] == *at as u8 + 1).count() * 256 * 1024;
            let torn = 256 * 1024;
            assert!(bytes[..written] == lab.volumes[&volume][..written]);
            assert!(bytes[(written + torn).min(bytes.len())..].iter().all(|byte| *byte == 0));
            match source {
                Source::Volume(id) => drop(lab.volumes.insert(id, bytes)),
                Source::Snapshot(id) => drop(lab.snapshots.insert(id, bytes)),
            }
        }
        lab.site.volumes().end_nbd("it").await.unwrap();
        lab.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_room_is_told_so_and_may_go_on() {
    for ground in grounds() {
        let mut lab = ground.lab(4 * MIB + MIB).await;
        let volume = lab.create(4 * MIB).await;
        lab.write(volume, 0, &noise(1, 4 * MIB)).await;
        lab.snapshot(volume).await;
        let url = lab.site.volumes().export_nbd("it", volume, false).await.unwrap();
        qemu_io(&url, &["write -P 1 0 1M"]);
        lab.wrote(volume, 0, &vec![1; MIB as usize]);
        let refused = run("qemu-utils", "qemu-io", &["-f", "raw", "-c", "write -P 2 1M 1M", &url]);
        let said = format!("{}{}", String::from_utf8_lossy(&refused.stdout), String::from_utf8_lossy(&refused.stderr));
        assert!(said.contains("No space left on device"), "{said}");
        qemu_io(&url, &["write -P 3 0 1M"]);
        lab.wrote(volume, 0, &vec![3; MIB as usize]);
        lab.site.volumes().end_nbd("it").await.unwrap();
        lab.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tcp_nobody_is_told_what_there_is_and_the_door_is_shut_unless_it_was_opened() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(4 * MIB).await;
        lab.write(volume, 0, &noise(1, MIB)).await;
        lab.site.volumes().export_nbd("secret", volume, false).await.unwrap();
        let address = lab.site.volumes().listen_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let copy = tempfile::NamedTempFile::new().unwrap();
        nbdcopy(&format!("nbd://{address}/secret"), copy.path().to_str().unwrap());
        assert!(std::fs::read(copy.path()).unwrap() == lab.volumes[&volume]);
        assert!(!run("libnbd-bin", "nbdinfo", &["--list", &format!("nbd://{address}")]).status.success());
        assert!(!run("libnbd-bin", "nbdinfo", &[&format!("nbd://{address}/other")]).status.success());
        for name in ["", "a/b", "..\0", &"x".repeat(256)] {
            assert!(lab.site.volumes().export_nbd(name, volume, false).await.is_err());
        }
        assert!(lab.site.volumes().export_nbd("secret", volume, false).await.is_err());
        lab.site.volumes().stop().await;
        lab.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_nonsense_is_left_and_others_are_served() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(MIB).await;
        let url = lab.site.volumes().export_nbd("it", volume, false).await.unwrap();
        let socket = lab.site.ground.files().join("nbd.sock");
        let option = |kind: u32, data: &[u8]| {
            [b"IHAVEOPT".as_slice(), &kind.to_be_bytes(), &(data.len() as u32).to_be_bytes(), data].concat()
        };
        let go = option(7, b"\0\0\0\x02it\0\0");
        let request = |flags: u16, kind: u16, at: u64, length: u32| {
            let head = [0x2560_9513_u32.to_be_bytes().as_slice(), &flags.to_be_bytes(), &kind.to_be_bytes()].concat();
            [head, vec![0; 8], at.to_be_bytes().to_vec(), length.to_be_bytes().to_vec()].concat()
        };
        let flags = 3_u32.to_be_bytes().to_vec();
        let many: Vec<u8> = (0..100).flat_map(|_| option(3, b"x")).collect();
        let nonsense: Vec<Vec<u8>> = vec![
            vec![0xff; 4],
            [flags.clone(), vec![7; 16]].concat(),
            [flags.clone(), b"IHAVEOPT\0\0\0\x07\xff\xff\xff\xff".to_vec()].concat(),
            [flags.clone(), option(7, b"\xff\xff\xff\xff")].concat(),
            [flags.clone(), option(7, b"\0\0\0\x02it\0\x09")].concat(),
            [flags.clone(), option(1, b"\xff\xfe")].concat(),
            [flags.clone(), option(99, &[0; 5000])].concat(),
            [flags.clone(), option(5, &[])].concat(),
            [flags.clone(), many].concat(),
            [flags.clone(), go.clone(), vec![9; 28]].concat(),
            [flags.clone(), go.clone(), request(0, 1, 0, u32::MAX)].concat(),
            [flags.clone(), go.clone(), request(0, 0, 0, u32::MAX)].concat(),
            [flags.clone(), go.clone(), request(0, 0, u64::MAX, 2)].concat(),
            [flags.clone(), go.clone(), request(0xffff, 3, 0, 0)].concat(),
            [flags.clone(), go.clone(), request(0, 77, 0, 0)].concat(),
            [flags, go, request(0, 4, 1 << 20, 1)].concat(),
        ];
        for words in nonsense {
            let mut client = UnixStream::connect(&socket).unwrap();
            // It may be left before it has spoken out.
            let _ = client.write_all(&words);
            let _ = client.shutdown(std::net::Shutdown::Write);
            let mut said = Vec::new();
            let _ = client.read_to_end(&mut said);
            assert!(said.starts_with(b"NBDMAGICIHAVEOPT") && said.len() < 100_000, "{words:?}");
        }
        nbdinfo(&[&url]);
        lab.site.volumes().stop().await;
        lab.check().await;
    }
}
