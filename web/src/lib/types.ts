/** The shapes of the HTTP API (`docs/design/http-api.md`), as this browser reads them. */

export interface Text {
  vi: string;
  en: string;
}
export interface Page<T> {
  items: T[];
  next: string | null;
  total: number;
}
/** A maker's family: how its cameras are reached, and what the owner has to do. */
export interface Maker {
  id: string;
  label: string;
  route: 'onvif' | 'rtsp' | 'vendor' | 'ask' | 'refuse';
  advice: Text;
  account: Text | null;
  why: Text | null;
}
export type Role = 'admin' | 'operator' | 'viewer' | 'inspector' | 'donor';
export type Right =
  | 'cameras.read'
  | 'cameras.write'
  | 'cameras.view'
  | 'cameras.delete'
  | 'reports.read'
  | 'standards.propose'
  | 'standards.approve'
  | 'users.write'
  | 'audit.read'
  | 'consents.write'
  | 'outputs.write';
export interface User {
  id: string;
  name: string;
  display_name: string;
  role: Role;
  areas: string[];
  custodian_id: string | null;
  must_change_password: boolean;
  locale: 'vi' | 'en';
  rights: Right[];
  hub: { name: string; version: string };
  disabled?: boolean;
}

export const DECISIONS = ['ADMITTED', 'CONDITIONAL', 'PENDING', 'REJECTED'] as const;
export type Decision = (typeof DECISIONS)[number];
export const HEALTHS = [
  'alive',
  'degraded',
  'fault',
  'unreachable',
  'paused',
  'not_shared',
  'outside_hours',
  'not_measured',
] as const;
export type HealthState = (typeof HEALTHS)[number];
export type CustodianKind = 'authority' | 'household' | 'shop' | 'school';
export type SharingMode = 'private' | 'registered' | 'health' | 'on_incident' | 'scheduled' | 'always' | 'authority';
export type ConsentState = 'not_needed' | 'active' | 'missing' | 'withdrawn' | 'expired';
export const VERDICTS = ['PASS', 'FAIL', 'INCONCLUSIVE', 'ERROR', 'NOT_CHECKED', 'NOT_APPLICABLE'] as const;
export type Verdict = (typeof VERDICTS)[number];
export type Severity = 'B' | 'J' | 'm' | 'i';
export type ViewableCode =
  | 'ok'
  | 'decision_pending'
  | 'decision_rejected'
  | 'paused'
  | 'no_consent'
  | 'not_at_this_level'
  | 'outside_hours'
  | 'no_role'
  | 'wrong_area'
  | 'purpose_not_covered'
  | 'codec_not_playable';

export interface ScheduleEntry {
  days: number[];
  from: string;
  to: string;
}
export interface Health {
  state: HealthState;
  since: string | null;
  cause: Text | null;
  measured_at: string | null;
}
export interface Sharing {
  mode: SharingMode;
  paused: boolean;
  paused_until: string | null;
  schedule: ScheduleEntry[] | null;
  consent: ConsentState;
}
export interface Viewable {
  allowed: boolean;
  code: ViewableCode;
  text: Text;
  test_only: boolean;
  purpose?: string;
  until?: string | null;
}
export interface Playback {
  codec: string | null;
  relay: 'copy' | 'transcode' | 'no' | null;
  width: number | null;
  height: number | null;
  fps: number | null;
}
export interface DecisionReason {
  rule: string;
  severity: Severity;
  verdict: Verdict;
  text: Text;
  /** The result is older than the rule allows. */
  stale?: boolean;
}
/** Scheduled runs that vote: two of three that are worse change a decision. */
export interface Series {
  worse: number;
  runs: number;
  of: number;
  open: boolean;
  text: Text | null;
}
export interface PortTests {
  allowed: boolean;
  granted_by: string | null;
  basis: string | null;
  granted_at: string | null;
  may_change: boolean;
}
export interface Camera {
  id: string;
  name: string;
  area: { code: string; name: string } | null;
  custodian: { id: string; kind: CustodianKind; name: string | null };
  decision: Decision;
  decision_reasons: DecisionReason[];
  health: Health;
  sharing: Sharing;
  viewable: Viewable;
  may_pause?: boolean;
  playback: Playback | null;
  watching: number | null;
  position: { lat: number; lon: number } | null;
  enrolled_at: string;
  version: number;
  /** The worst open alert, for those who work on the camera. */
  alert?: AlertSeverity | null;
}
export type AlertSeverity = 'info' | 'warning' | 'critical';
export interface Alert {
  id: string;
  camera: { id: string; name: string };
  kind: string;
  severity: AlertSeverity;
  text: Text;
  first_at: string;
  last_at: string;
  times: number;
  assessment_id: string | null;
  acknowledged: { at: string; by: string | null; note: string } | null;
}
interface UptimeShare {
  up_s: number;
  down_s: number;
  unknown_s: number;
  ratio: number | null;
}
export interface UptimeDay extends UptimeShare {
  date: string;
}
export interface Uptime {
  as_of: string;
  measured_at: string | null;
  spans: Record<'30' | '90', UptimeShare>;
  days: UptimeDay[];
  outages: { since: string; until: string | null; state: string }[];
}
export interface FactRow {
  name: string;
  meaning: string | Text;
  unit: string;
  claimed: unknown;
  measured: unknown;
  required: unknown;
  reason: string | null;
}
export interface Stream {
  layer: string;
  codec: string | null;
  width: number | null;
  height: number | null;
  fps: number | null;
  bitrate_kbps: number | null;
}
export interface Origin {
  group: string;
  funding: string;
  source_class: string;
  siting: { document: string; authority: string; date: string } | null;
}
export interface CameraDetail extends Camera {
  /** For who may change the camera; with the approval to move it, where there is one. */
  permission?: { granted_by: string; basis: string; granted_at: string; ptz_granted_by?: string; ptz_granted_at?: string } | null;
  address: string | null;
  /** An encoder pushes it (WHIP); nobody dials it. */
  pushes?: boolean;
  has_credential: boolean;
  device: Record<string, unknown>;
  facts: FactRow[];
  streams: Stream[];
  last_assessment: Assessment | null;
  /** The vote that is open, where the newest runs were worse than the decision in use. */
  series?: Series | null;
  /** For who works on the camera. */
  port_tests?: PortTests | null;
  quirks: string[];
  notes: string | null;
  /** Where it comes from; null for readers who do not work on it. */
  origin?: Origin | null;
  cooldown_until: string | null;
}
export interface Reference {
  doc: string;
  doc_text: Text;
  edition_text: Text;
  clause_text: Text;
  certainty: 'text' | 'secondary' | 'unconfirmed' | 'own';
  valid_from: string;
  valid_to: string;
}
/** What one fact of a finding stands on. Absent parts were never seen, or are not this reader's to know. */
export interface Evidence {
  name: string;
  value?: unknown;
  reason?: string;
  detail?: string;
  method?: string;
  operation?: string;
  peer?: string;
  collected_at?: string;
  duration_s?: number;
  excerpt?: string;
  excerpt_sha256?: string;
}
export interface Finding {
  rule: string;
  group: string;
  title: Text;
  severity: Severity;
  verdict: Verdict;
  reason: string | null;
  reason_text?: Text | null;
  detail?: string | null;
  text: Text;
  observed: unknown;
  required: unknown;
  claimed: unknown;
  observed_text?: Text | null;
  required_text?: Text | null;
  claimed_text?: Text | null;
  unit: string | null;
  lowers?: boolean;
  remedy: Partial<Record<'owner' | 'installer' | 'hub', Text | null>> | null;
  /** Where this maker's cameras keep the setting, as somebody wrote it down. */
  how_to?: { who: 'owner' | 'installer' | 'hub'; steps: Text[]; source: string; certainty: string }[];
  references: Reference[];
  facts: Evidence[];
  overlays: unknown[];
}
export interface Standard {
  id: string;
  version: string;
  hash: string;
  title: Text;
}
export interface Assessment {
  id?: string;
  camera_id?: string;
  target?: unknown;
  standard: Partial<Standard> | string;
  standard_detail?: Partial<Standard>;
  decision: Decision;
  summary?: Text | null;
  because: Finding[];
  counts: Record<Verdict, number>;
  findings: Finding[];
  as_of: string;
  vantage?: string | Text | null;
  program?: unknown;
  courtesy?: Courtesy | null;
  /** What lifts the decision, in the order in which it does. */
  ladder?: { decision: Decision; repair: string[]; see: string[]; text: Text }[];
  series?: Series | null;
  gate?: { rule: string; severity: Severity; verdict: Verdict; text: Text } | null;
}
/** How a rule's outcome moved between two assessments. */
export const MOVES = ['broken', 'lost', 'mended', 'seen', 'other', 'added', 'gone'] as const;
export type Move = (typeof MOVES)[number];
export interface Turned {
  rule: string;
  title: Text;
}
export interface Changes {
  against: string;
  decision: Decision;
  same_standard: boolean;
  moves: Record<Move, Turned[]>;
}
export interface AssessmentRow {
  id: string;
  standard: string;
  standard_version: string;
  decision: Decision;
  as_of: string;
  counts: Partial<Record<Verdict, number>>;
  changes?: Changes | null;
}
export interface Side {
  verdict: Verdict;
  severity: Severity;
  text: Text;
  observed_text: Text | null;
  required_text: Text | null;
  unit?: string | null;
}
export interface ComparedRule extends Turned {
  group: string;
  severity: Severity;
  move: Move | 'same';
  before: Side | null;
  after: Side | null;
}
export interface Comparison {
  before: AssessmentRow;
  after: AssessmentRow;
  same_standard: boolean;
  rules: ComparedRule[];
  device: { name: string; before: unknown; after: unknown }[];
}
export interface View {
  id: string;
  camera_id: string;
  started_at: string;
  ended_at: string | null;
  seconds: number | null;
  kind: 'live' | 'output' | 'snapshot' | 'test';
  by: { office: string | null; role: string; number: string | number | null; name?: string | null; recipient?: string };
  purpose: string;
  incident: string | null;
  ended_cause: string | null;
  stills: number;
}
/** What another system may take of a camera by RTSP. Its address is in the reply that made it, and nowhere else. */
/** Zones of the picture that nobody may see: polygons, corners from 0 to 1. */
export interface Masks {
  zones: [number, number][][];
  declared_by: string;
  declared_at: string;
  verified_by: string;
  verified_at: string;
}
export interface Output {
  id: string;
  camera_id: string;
  recipient: string;
  purpose: string;
  incident: string | null;
  reason: string;
  layer: 'main' | 'sub';
  h265: boolean;
  audio: boolean;
  state: 'active' | 'expired' | 'revoked';
  created_by: string;
  created_at: string;
  expires_at: string;
  revoked_at: string | null;
  played_at: string | null;
  playing: number;
}
export interface PushToken {
  id: string;
  camera_id: string;
  name: string;
  state: 'active' | 'expired' | 'revoked';
  created_by: string;
  created_at: string;
  expires_at: string;
  revoked_at: string | null;
  used_at: string | null;
}
export type PushStateName = 'waiting' | 'connecting' | 'live' | 'silent' | 'ended';
export interface PushTold {
  url: string;
  push: { state: PushStateName; since: string | null; code: string; cause: Text | null; token: { id: string; name: string } | null };
  items: PushToken[];
}
export interface ApiToken {
  id: string;
  label: string;
  state: 'active' | 'expired' | 'revoked';
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
}
export interface Counts {
  total: number;
  decision: Partial<Record<Decision, number>>;
  health: Partial<Record<HealthState, number>>;
  measured_at: string;
}
export const STEPS = ['address', 'login', 'identify', 'picture', 'rules', 'consent', 'decision'] as const;
export type StepName = (typeof STEPS)[number];
export interface Step {
  name: StepName;
  state: 'waiting' | 'running' | 'ok' | 'failed' | 'skipped';
  text: Text | null;
  hint: Text | null;
  seconds: number | null;
}
export interface Courtesy {
  reads: number;
  logins: number;
}
/** A CloudEvents object, as `GET /cameras/{id}/events` and the tab's stream tell it. */
export interface CameraEvent {
  id: string;
  type: string;
  time: string;
  data: {
    camera_id: string;
    kind: string;
    active: boolean | null;
    topic: string;
    told_at: string | null;
    arrived_at: string;
    difference_s: number | null;
  };
}
export interface EventsPage extends Page<CameraEvent> {
  pulling: { state: 'off' | 'connecting' | 'listening' | 'waiting'; code: string | null; text: Text; since: string; until: string | null; switched_on: boolean; may_switch: boolean };
}
export interface PtzState {
  present: boolean | null;
  presets: { token: string; name: string }[];
  approved: boolean;
  may: boolean;
  code: string | null;
  why: string | null;
}
/** One of the other video sources of a recorder. */
export interface Channel {
  source: string;
  name: string;
  address: string;
  codec: string | null;
  width: number | null;
  height: number | null;
  camera_id?: string | null;
}
/** A device that answered a search of the hub's network. */
export interface Found {
  name: string;
  maker: string;
  model: string;
  address: string;
  camera_id: string | null;
}
export interface Onboarding {
  id: string;
  state: 'running' | 'admitted' | 'conditional' | 'pending' | 'rejected' | 'failed' | 'cancelled';
  camera_id: string | null;
  steps: Step[];
  courtesy: Courtesy;
  decision: Decision | null;
  problem: ProblemBody | null;
  started_at: string;
  ended_at: string | null;
  address?: string | null;
  name?: string | null;
}
export interface ProblemBody {
  type?: string;
  title?: string | Text;
  status?: number;
  detail?: string | Text;
  code?: string;
  field?: string | null;
  hint?: string | Text | null;
  errors?: { field: string; detail: string | Text }[];
  params?: Record<string, unknown>;
}
export interface ConsentInput {
  sharing_mode: SharingMode;
  schedule: ScheduleEntry[] | null;
  purposes: string[];
  recipients: { area: string; role: string }[];
  audio: boolean;
  expires_at: string | null;
  text_version: string;
  signed_by: string;
  witnessed_by?: string | null;
}
export interface Consent extends ConsentInput {
  id: string;
  camera_id: string;
  version: number;
  state: 'active' | 'withdrawn' | 'expired' | 'superseded';
  given_at: string;
  withdrawn_at: string | null;
  text_hash: string;
}
export interface ConsentText {
  version: string;
  hash: string;
  text: string;
}
export interface StandardRow {
  id: string;
  version: string;
  title: Text;
  rules: number;
  in_force_from: string | null;
  state: 'draft' | 'in_force' | 'ended';
  chain: string[];
}
export interface Custodian {
  id: string;
  kind: CustodianKind;
  name: string | null;
}
export interface Area {
  code: string;
  name: string;
}
export interface AuditRow {
  seq: number;
  at: string;
  actor: string;
  kind: string;
  subject: string;
  text: Text;
  hash: string;
}
export interface AuditPage extends Page<AuditRow> {
  chain: { ok: boolean; checked_to: number | string; broken_at: number | string | null };
}
