//! What was taken back leaves nothing.

use crate::check;

#[test]
fn a_rollback_restores_every_sum() {
    check(
        "
        limit  site       bytes 100  objects 10
        limit  site/acme  bytes  60
        limit  supply:p   bytes 100
        claim  c1  site/acme  supply:p  bytes 50  objects 2
        mark
        settle c1  bytes 40
        claim  c2  site/acme  supply:p  bytes 20
        release c1
        limit  site/acme  bytes 5
        limit  site/acme  objects 5
        rollback
        expect site/acme  bytes    limit 60    used 0  pending 50
        expect site/acme  objects  limit none  used 0  pending 2
        expect site       bytes    used 0  pending 50  promised 60
        expect supply:p   bytes    used 0  pending 50
        settle c1                             -> held
    ",
    );
}

#[test]
fn a_rollback_takes_back_nodes_made_and_brings_back_nodes_removed() {
    check(
        "
        limit  site      bytes 100
        limit  site/a    bytes 10
        limit  site/a/x  bytes 5
        mark
        limit  site/b    bytes 20
        limit  site/b/y  bytes 7
        remove site/a/x
        remove site/a
        remove site/b/y
        expect site  bytes  promised 20
        rollback
        expect site    bytes  promised 10
        expect site/a  bytes  limit 10  promised 5
        claim  c1  site/a/x  bytes 6   -> site/a/x: bytes limit 5, used 0, pending 0, asked 6
        claim  c1  site/a/x  bytes 5   -> pending
        expect site  bytes  pending 5
    ",
    );
}

#[test]
fn marks_lie_within_marks() {
    check(
        "
        limit  site  bytes 100
        mark
        claim  c1  site  bytes 10  held
        mark
        set    c1  bytes 20
        overcommit site 1.0
        ends   site 5
        mark
        release c1
        rollback
        expect site  bytes  used 20
        rollback
        expect site  bytes  used 10
        limit  site/a  bytes 1000      -> done
        rollback
        expect site  bytes  used 0  promised 0
        claim  c2  site  bytes 100     -> pending
    ",
    );
}

#[test]
fn a_node_made_after_others_were_removed_has_their_place_and_nothing_of_them() {
    check(
        "
        limit  site    bytes 100
        limit  site/a  bytes 10
        commit
        remove site/a
        commit
        limit  site/b  objects 1
        expect site/b  bytes  limit none  used 0  pending 0
        mark
        limit  site/c  bytes 1
        rollback
        claim  c1  site/b  bytes 50  -> pending
        expect site  bytes  pending 50  promised 0
    ",
    );
}

#[test]
fn a_refused_new_node_and_a_refused_limit_leave_nothing() {
    check(
        "
        limit  site    bytes 10  objects 10
        overcommit site 1.0
        limit  site/a  bytes 5  objects 11   -> site: objects limit 10 at overcommit 1 promises at most 10, asked 11 in all
        expect site  bytes    promised 0
        expect site  objects  promised 0
        limit  site/a  bytes 5
        limit  site/a  bytes 11              -> site: bytes limit 10 at overcommit 1 promises at most 10, asked 11 in all
        expect site/a  bytes  limit 5
        expect site    bytes  promised 5
    ",
    );
}
