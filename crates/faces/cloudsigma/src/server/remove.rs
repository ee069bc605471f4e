//! Deleting a server, and with `recurse` the drives on it (spec, section 6.1).

use axum::extract::State;
use store::params;

use crate::Face;
use crate::auth::Caller;
use crate::drive::{self, define, remove};
use crate::error::Error;
use crate::ids::{DriveId, ServerId};
use crate::input::{At, Params};
use crate::reply::NoContent;
use crate::server::{self, STOPPED, write};

/// `DELETE servers/{id}/[?recurse=…]`.
pub async fn one(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ServerId>,
    params: Params,
) -> Result<NoContent, Error> {
    let media: &[&str] = match params.get("recurse") {
        None | Some("") => &[],
        Some("all_drives") => &["disk", "cdrom"],
        Some("disks") => &["disk"],
        Some("cdroms") => &["cdrom"],
        Some(other) => return Err(Error::field("recurse", format!("\"{other}\" is none of the drives"))),
    };
    let user = caller.user;
    let read = face.store.read(move |tx| {
        let find = |tx: &mut store::Tx<'_>| {
            let server = server::own(tx, user, id)?;
            if server.status != STOPPED {
                return Err(Error::state("delete", "guest", "started", STOPPED));
            }
            let mut ids: Vec<DriveId> = Vec::new();
            for mount in server::mounts(tx, id)? {
                let drive = drive::own_or_library(tx, user, mount.drive)?;
                if drive.owner.is_some() && media.contains(&drive.media.as_str()) {
                    ids.push(drive.id);
                }
            }
            remove::going(tx, user, &ids)
        };
        find(tx).map_err(Error::noun)
    });
    let going = read.await?;
    let unit = remove::doom(caller.unit(), &going).rows(move |tx| {
        let left = server::mounts(tx, id)?;
        write::unmount(tx, id)?;
        tx.execute("DELETE FROM drive_tagged WHERE resource_id = $1", &params![id])?;
        let sql = "DELETE FROM drive_servers WHERE id = $1 AND status = 'stopped'";
        define::unchanged(tx.execute(sql, &params![id])?)?;
        remove::delete_all(tx, &going)?;
        left.iter().try_for_each(|mount| drive::settle(tx, mount.drive))
    });
    face.store.write(unit).await?;
    Ok(NoContent)
}
