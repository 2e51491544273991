/** What was typed into "Add a camera", kept while the tab lives. Never the password. */
import type { CustodianKind } from './types';

export interface Draft {
  /** Who begins: the hub, which dials an address, or an encoder, which pushes. */
  way: 'dial' | 'push';
  address: string;
  /** The maker's family, where only an address is known; empty for none. */
  vendor: string;
  username: string;
  name: string;
  area: string;
  kind: CustodianKind;
  owner: string;
  /** An owner who is known already, by id; empty for a new one. */
  custodian: string;
  contact: string;
  grantedBy: string;
  basis: 'owner' | 'authority' | 'installer';
}
export const EMPTY: Draft = { way: 'dial', address: '', vendor: '', username: '', name: '', area: '', kind: 'authority', owner: '', custodian: '', contact: '', grantedBy: '', basis: 'authority' };
const KEY = 'camhub.draft';

export function readDraft(): Draft {
  try {
    return { ...EMPTY, ...(JSON.parse(sessionStorage.getItem(KEY) ?? '{}') as Partial<Draft>) };
  } catch {
    return { ...EMPTY };
  }
}
export function keepDraft(draft: Draft): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(draft));
  } catch {
    // without storage a reload loses what was typed
  }
}
export function dropDraft(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // nothing was kept
  }
}
