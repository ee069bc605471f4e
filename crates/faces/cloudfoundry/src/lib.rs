//! Cloud Foundry: quotas and what they bite, `/v2`, `/v3`, and the login that its clients use.
