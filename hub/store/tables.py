"""The tables. Migrations under ``migrations/`` make exactly these (a test compares them).

Ids are UUID4 strings, times aware UTC, names of areas and codes are text. Sealed columns hold `Sealer` output only.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    false,
)

from hub.store.columns import JsonText, PackedJson, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Sorted and compared by bytes on both databases, whatever the server's language: paging must agree with sorting.
Key = Text().with_variant(Text(collation="C"), "postgresql")
Id = String(36)

settings = Table(
    "settings",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", JsonText, nullable=False),
)

areas = Table(
    "areas",
    metadata,
    Column("code", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("level", String(16), nullable=False),
    Column("parent", String(16), ForeignKey("areas.code"), nullable=True),
    Column("path", Key, nullable=False),  # codes from the root, "/79/26734/"
    Column("folded", Key, nullable=False),
    Column("valid_from", UtcTime, nullable=True),
    Column("valid_to", UtcTime, nullable=True),
    Index(None, "path"),
    Index(None, "parent"),
)

custodians = Table(
    "custodians",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

cameras = Table(
    "cameras",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sort_key", Key, nullable=False),
    Column("area_code", String(16), ForeignKey("areas.code"), nullable=True),
    Column("area_since", UtcTime, nullable=True),
    Column("custodian_id", Id, ForeignKey("custodians.id"), nullable=False),
    Column("address", Text, nullable=False),
    Column("sub_address", Text, nullable=False),
    Column("latitude", Float, nullable=True),
    Column("longitude", Float, nullable=True),
    Column("accuracy_m", Float, nullable=True),
    Column("azimuth_deg", Float, nullable=True),
    Column("notes", Text, nullable=False),
    Column("permission", JsonText, nullable=False),
    Column("masks", JsonText, nullable=True),  # declared zones; who declared and who verified them
    Column("decision", String(16), nullable=False),
    Column("decision_reasons", JsonText, nullable=False),
    Column("assessment_id", Id, nullable=True),
    Column("standard", String(64), nullable=False, server_default=""),  # of that assessment
    Column("playback", JsonText, nullable=False),
    # derived from what follows and from time; rewritten when `next_change_at` has come
    Column("sharing", String(16), nullable=False),
    Column("consent_state", String(16), nullable=False),
    Column("health", String(16), nullable=False),
    Column("shown_since", UtcTime, nullable=False),
    Column("next_change_at", UtcTime, nullable=True),
    Column("paused", Boolean, nullable=False),
    Column("paused_until", UtcTime, nullable=True),
    Column("consent_id", Id, nullable=True),  # the newest consent, whatever its state
    Column("enrolled_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("version", Integer, nullable=False),
    # the worst severity of its open alerts, "" where there is none: lists show it without a join
    Column("alert", String(8), nullable=False, server_default=""),
    # where it comes from: neighbourhood group, who paid, which paper approved the place, what kind of source it is
    Column("group_name", Text, nullable=False, server_default=""),
    Column("funding", Text, nullable=False, server_default=""),
    Column("siting", JsonText, nullable=True),  # document, authority, date
    Column("source_class", String(32), nullable=False, server_default=""),
    Index(None, "sort_key", "id"),
    Index(None, "decision", "health"),
    Index(None, "area_code", "sort_key", "id"),
    Index(None, "custodian_id", "sort_key", "id"),
    Index(None, "health", "sort_key", "id"),
    Index(None, "sharing", "sort_key", "id"),
    Index(None, "latitude", "longitude"),
    Index(None, "next_change_at"),
    Index(None, "address"),
    Index(None, "standard"),
)

# Apart from `cameras`, narrow, because a text search reads all of it.
camera_search = Table(
    "camera_search",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("sort_key", Key, nullable=False),  # as in `cameras`, so that a plain search reads this table alone
    Column("folded", Text, nullable=False),  # without accents, lower case
    Column("exact", Text, nullable=False),  # with accents, lower case
)

credentials = Table(
    "credentials",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed_user", LargeBinary, nullable=False),
    Column("sealed_password", LargeBinary, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
)

camera_events = Table(
    "camera_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("active", Boolean, nullable=True),  # None: a single happening
    Column("arrived_at", UtcTime, nullable=False),
    Column("told_at", UtcTime, nullable=True),  # by the camera's clock
    Column("said", JsonText, nullable=False),  # topic, operation, source, values
    Index(None, "camera_id", "arrived_at"),
)

consents = Table(
    "consents",
    metadata,
    Column("id", Id, primary_key=True),
    # no foreign key: the record outlives the camera
    Column("camera_id", Id, nullable=False),
    Column("custodian_id", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # active withdrawn superseded; expiry is read off expires_at
    Column("terms", JsonText, nullable=False),
    Column("text_version", String(32), nullable=False),
    Column("text_hash", String(64), nullable=False),
    Column("given_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime, nullable=True),
    Index(None, "camera_id", "version", unique=True),
    Index(None, "custodian_id"),
)

assessments = Table(
    "assessments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("camera_id", Id, nullable=False),
    Column("standard", String(64), nullable=False),
    Column("standard_version", String(64), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("counts", JsonText, nullable=False),
    Column("report", PackedJson, nullable=False),
    Column("observations", PackedJson, nullable=False),
    Index(None, "camera_id", "as_of", "id", "decision"),  # an area's decisions are counted out of it alone
)

# Which rules each camera fails by its present assessment: counted and listed without opening a report.
failed_rules = Table(
    "failed_rules",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("rule", String(16), primary_key=True),
    Column("standard", String(64), nullable=False),
    Index(None, "standard", "rule", "camera_id"),
    sqlite_with_rowid=False,
)

# What the newest assessment of each camera says, and the facts it stands on, small enough to be judged again for all
# cameras at once (`hub.catalog.judgements`).
judgements = Table(
    "judgements",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("assessment_id", Id, nullable=False),
    Column("basis_id", Id, nullable=False),  # the assessment that holds the observations
    Column("standard_hash", String(64), nullable=False),
    Column("decision", String(16), nullable=False),  # as this assessment says, before 2 of 3
    Column("as_of", UtcTime, nullable=False),
    Column("verdicts", Text, nullable=False),  # one letter per rule (`standards.compiled`)
    Column("reasons", Text, nullable=False),
    Column("said", JsonText, nullable=False),  # waivers and attestations
    Column("facts", LargeBinary, nullable=False),
    Index(None, "standard_hash"),
)

# Every version of a standard that judged a camera here: the order of its rules, and the files to read it again.
standards_kept = Table(
    "standards_kept",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("standard", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("content", PackedJson, nullable=False),
)

area_reports = Table(
    "area_reports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("area_code", String(16), nullable=False),
    Column("kind", String(16), nullable=False),  # area | yearly
    Column("as_of", UtcTime, nullable=False),
    Column("by", JsonText, nullable=False),
    Column("cameras", Integer, nullable=False),
    Column("document", PackedJson, nullable=False),
    Index(None, "area_code", "as_of", "id"),
)

health = Table(
    "health",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String(16), nullable=False),  # as measured: alive degraded fault unreachable
    Column("since", UtcTime, nullable=False),
    Column("cause", JsonText, nullable=True),
    Column("measured_at", UtcTime, nullable=False),
)

# One row per change of what was measured, never one per question. Whole seconds since 1970 and a code keep a row
# near 50 bytes; the primary key is the table.
health_changes = Table(
    "health_changes",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("state", SmallInteger, nullable=False),  # `hub.catalog.uptime.CODES`
    sqlite_with_rowid=False,
)

# What the hub remembers of a camera from run to run: a few clock readings, references, a baseline; about 1 kB.
camera_memory = Table(
    "camera_memory",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("data", JsonText, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
)

# By what a device is told from others of the catalog: serial number, hardware address, reference, certificate.
camera_marks = Table(
    "camera_marks",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("value", String(200), primary_key=True),
    Column("host", Text, nullable=False),  # of its address: the channels of one recorder share a certificate
    Index(None, "kind", "value"),
)

# When each camera is to be checked next by itself, and the votes of the runs since the first worse one.
checks = Table(
    "checks",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("due_at", UtcTime, nullable=False),
    Column("why", String(16), nullable=False),  # regular confirm again
    Column("votes", JsonText, nullable=False),
    Column("last_at", UtcTime, nullable=True),
    Index(None, "due_at"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("params", JsonText, nullable=False),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("times", Integer, nullable=False),
    Column("assessment_id", Id, nullable=True),
    Column("acknowledged_at", UtcTime, nullable=True),
    Column("acknowledged_by", JsonText, nullable=True),
    Column("note", Text, nullable=False),
    Index(None, "camera_id", "acknowledged_at"),
    Index(None, "last_at", "id"),
)

# What people declared about a camera: one version per statement, nothing is edited. No foreign key: the record outlives
# the camera.
declarations = Table(
    "declarations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("camera_id", Id, nullable=False),
    Column("fact", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("value", JsonText, nullable=False),
    Column("author", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("declared_at", UtcTime, nullable=False),
    Column("valid_until", UtcTime, nullable=False),
    Column("attachment_sha256", String(64), nullable=True),
    Column(
        "state", String(16), nullable=False
    ),  # active superseded withdrawn; a lapse is read off valid_until
    Column("recorded_by", JsonText, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime, nullable=True),
    Column("settled", Boolean, nullable=False),  # the camera was judged again after it lapsed
    Index(None, "camera_id", "fact", "version", unique=True),
    Index(None, "settled", "valid_until"),
)

# The papers behind them. They hold what people sent and go with the camera; the hash stays in the statement.
attachments = Table(
    "attachments",
    metadata,
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("media_type", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("added_by", JsonText, nullable=False),
    Column("added_at", UtcTime, nullable=False),
)

# Waivers and attestations: proposed by one person, decided by another.
statements = Table(
    "statements",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),  # waiver attestation
    Column("rule", String(16), nullable=False),
    Column("camera_id", Id, nullable=True),  # where it is for one camera; no foreign key, as above
    Column("area_code", String(16), nullable=True),  # of that camera, or the area that it is for
    Column("selector", JsonText, nullable=False),
    Column("data", JsonText, nullable=False),
    Column("starts_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column(
        "state", String(16), nullable=False
    ),  # proposed approved rejected revoked; expiry is read off expires_at
    Column("proposed_by", Id, nullable=False),
    Column("proposer", Text, nullable=False),  # the name at that time
    Column("proposed_at", UtcTime, nullable=False),
    Column("decided_by", Id, nullable=True),
    Column("decider", Text, nullable=True),
    Column("decided_at", UtcTime, nullable=True),
    Column("reason", Text, nullable=False),  # of a rejection or a revocation
    Column("settled", Boolean, nullable=False),  # the cameras were judged again after it expired
    Index(None, "kind", "proposed_at", "id"),
    Index(None, "kind", "state", "expires_at"),
    Index(None, "settled", "expires_at"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("number", String(64), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("area_code", String(16), nullable=True),
    Column("camera_ids", JsonText, nullable=False),
    Column("opened_by", JsonText, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("closes_at", UtcTime, nullable=False),
    Column("extended", Boolean, nullable=False),
    Column("closed_at", UtcTime, nullable=True),
    Index(None, "closes_at"),
)

views = Table(
    "views",
    metadata,
    Column("id", Id, primary_key=True),
    Column("camera_id", Id, nullable=False),
    Column("user_id", Id, nullable=False),
    Column("by", JsonText, nullable=False),  # office, role, number; the name apart
    Column("by_name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("incident", String(64), nullable=True),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime, nullable=True),
    Column("seconds", Float, nullable=False),
    Column("ended_cause", String(64), nullable=True),
    Column("stills", Integer, nullable=False),
    Index(None, "camera_id", "started_at", "id"),
    Index(None, "ended_at"),
)

# What another system may take of a camera over RTSP. The token is in the address that was shown once; here is its hash.
outputs = Table(
    "outputs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("recipient", Text, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("incident", String(64), nullable=True),
    Column("reason", Text, nullable=False),
    Column("layer", String(8), nullable=False),  # main sub
    Column("h265", Boolean, nullable=False),
    Column("audio", Boolean, nullable=False, server_default=false()),
    Column("created_by", Id, nullable=False),  # in whose name it plays
    Column("creator", Text, nullable=False),  # the name at that time
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime, nullable=True),
    Column("played_at", UtcTime, nullable=True),
    Index(None, "camera_id", "created_at"),
)

# Who may push a camera (WHIP). The token was shown once; here is its hash.
push_tokens = Table(
    "push_tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("camera_id", Id, ForeignKey("cameras.id", ondelete="CASCADE"), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("name", Text, nullable=False),  # of the encoder that has it
    Column("created_by", Id, nullable=False),
    Column("creator", Text, nullable=False),  # the name at that time
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime, nullable=True),
    Column("used_at", UtcTime, nullable=True),
    Index(None, "camera_id", "created_at"),
)

onboardings = Table(
    "onboardings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("camera_id", Id, nullable=True),
    Column("started_by", Id, nullable=True),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime, nullable=True),
    Column("data", PackedJson, nullable=False),
    Column("sealed", LargeBinary, nullable=True),  # the credential as typed, while a retry may need it
    Index(None, "state"),
    Index(None, "started_at", "id"),
)

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),  # shown to donors in place of the name
    Column("name", Text, nullable=False),
    Column("name_key", Key, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("areas", JsonText, nullable=False),
    Column("custodian_id", Id, ForeignKey("custodians.id"), nullable=True),
    Column("locale", String(8), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("must_change_password", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
)

login_sessions = Table(
    "login_sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("csrf_hash", LargeBinary, nullable=False),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("address", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Index(None, "user_id"),
    Index(None, "expires_at"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=True),
    Column("revoked_at", UtcTime, nullable=True),
    Index(None, "user_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),  # RFC 3339 text: it is hashed as written
    Column("kind", String(64), nullable=False),
    Column("actor", Text, nullable=False),  # canonical JSON, hashed as written
    Column("subject", Text, nullable=False),
    Column("data", Text, nullable=False),  # canonical JSON, hashed as written
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "subject", "seq"),
    Index(None, "kind", "seq"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)

device_cooldowns = Table(
    "device_cooldowns",
    metadata,
    Column("device", Text, primary_key=True),
    Column("until", UtcTime, nullable=False),
)

device_slots = Table(
    "device_slots",
    metadata,
    Column("slot", Text, primary_key=True),
    Column("owner", Id, nullable=False),
    Column("until", UtcTime, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", String(64), primary_key=True),  # who asked
    Column("key", String(128), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("reply", PackedJson, nullable=True),  # None while the first request runs
    Index(None, "at"),
)
