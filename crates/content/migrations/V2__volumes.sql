CREATE TABLE volume_layers (
    id TEXT NOT NULL PRIMARY KEY,
    parent_id TEXT,
    place TEXT NOT NULL,
    size BIGINT NOT NULL,
    written BOOLEAN NOT NULL,
    dirty BOOLEAN NOT NULL
);
CREATE INDEX volume_layers_parent ON volume_layers (parent_id);

CREATE TABLE volumes (
    id TEXT NOT NULL PRIMARY KEY,
    layer_id TEXT NOT NULL,
    claim_id TEXT NOT NULL,
    place TEXT NOT NULL,
    size BIGINT NOT NULL,
    fill_id TEXT,
    job_id TEXT
);
CREATE INDEX volumes_layer ON volumes (layer_id);

CREATE INDEX volumes_fill ON volumes (fill_id);

CREATE TABLE volumes_doomed (
    id TEXT NOT NULL PRIMARY KEY
) {clustered};

CREATE TABLE volume_snapshots (
    id TEXT NOT NULL PRIMARY KEY,
    volume_id TEXT NOT NULL,
    layer_id TEXT NOT NULL,
    claim_id TEXT NOT NULL,
    place TEXT NOT NULL,
    size BIGINT NOT NULL,
    charged BIGINT NOT NULL,
    preserved BIGINT NOT NULL
);
CREATE INDEX volume_snapshots_layer ON volume_snapshots (layer_id);
CREATE INDEX volume_snapshots_volume ON volume_snapshots (volume_id, id);

CREATE TABLE volume_snapshots_doomed (
    id TEXT NOT NULL PRIMARY KEY
) {clustered};

CREATE TABLE volume_imports (
    id TEXT NOT NULL PRIMARY KEY,
    volume_id TEXT NOT NULL,
    claim_id TEXT NOT NULL,
    place TEXT NOT NULL,
    job_id TEXT
);
