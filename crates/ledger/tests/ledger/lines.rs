//! Load lines: crossed upward and downward, once a commit.

use crate::check;

#[test]
fn a_load_line_is_crossed_when_the_load_reaches_it_and_when_it_falls_below() {
    check(
        "
        limit  site  bytes 100
        lines  site  bytes 80% 95 100%
        commit
        claim  c1  site  bytes 79
        commit                          -> nothing crossed
        set    c1  bytes 80
        commit                          -> site: bytes 80% up
        settle c1
        commit                          -> nothing crossed
        set    c1  bytes 100
        commit                          -> site: bytes 100% up
                                       and site: bytes 95 up
        release c1
        commit                          -> site: bytes 100% down
                                       and site: bytes 80% down
                                       and site: bytes 95 down
    ",
    );
}

#[test]
fn what_is_crossed_and_crossed_back_before_the_commit_is_not_told() {
    check(
        "
        limit  site  bytes 100
        lines  site  bytes 50%
        commit
        claim  c1  site  bytes 60
        release c1
        commit                     -> nothing crossed
        mark
        claim  c2  site  bytes 60
        rollback
        commit                     -> nothing crossed
    ",
    );
}

#[test]
fn a_changed_limit_crosses_lines_too_on_every_node_of_both_paths() {
    check(
        "
        limit  site       bytes 100
        limit  site/acme  bytes 100
        limit  supply:p   bytes 100
        lines  site       bytes 50%
        lines  site/acme  bytes 30
        lines  supply:p   bytes 10%
        commit
        claim  c1  site/acme  supply:p  bytes 40
        commit                     -> p: bytes 10% up
                                  and site/acme: bytes 30 up
        limit  site  bytes 80
        commit                     -> site: bytes 50% up
        limit  site  bytes none
        limit  supply:p  bytes max
        commit                     -> p: bytes 10% down
                                  and site: bytes 50% down
    ",
    );
}

#[test]
fn a_share_of_the_largest_limit_does_not_wrap() {
    check(
        "
        limit  site  bytes max
        lines  site  bytes 100%
        commit
        claim  c1  site  bytes max-1
        commit                     -> nothing crossed
        set    c1  bytes max
        commit                     -> site: bytes 100% up
    ",
    );
}
