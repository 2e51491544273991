/** Why somebody looks: named once per tab, sent with every view. */
export const PURPOSES = ['public_safety', 'traffic', 'incident', 'search'] as const;
export type PurposeCode = (typeof PURPOSES)[number];
const KEY = 'camhub.purpose';

const known = (code: string | null | undefined): PurposeCode | undefined => PURPOSES.find((one) => one === code);

export class Purpose {
  code = $state<PurposeCode>('public_safety');
  incident = $state('');
  /** The incident's number was asked for and not given. */
  missing = $state(false);

  /** `covered`: the first purpose that a camera's consent covers. */
  constructor(covered?: string | null) {
    this.code = Purpose.#remembered(covered);
  }

  /** Is all given that this purpose needs? What is missing is marked. */
  ready(code: PurposeCode = this.code): boolean {
    this.missing = code === 'incident' && !this.incident.trim();
    if (this.missing) document.getElementById('incident')?.focus();
    return !this.missing;
  }

  /** The number to send with a purpose. */
  number(code: PurposeCode = this.code): string {
    return code === 'incident' ? this.incident.trim() : '';
  }

  remember(): void {
    try {
      sessionStorage.setItem(KEY, this.code);
    } catch {
      // the purpose is asked for again on the next page
    }
  }

  static #remembered(covered?: string | null): PurposeCode {
    // a consent that does not cover public safety names the first purpose that it does cover
    const first = known(covered);
    if (first && first !== 'public_safety') return first;
    try {
      return known(sessionStorage.getItem(KEY)) ?? 'public_safety';
    } catch {
      return 'public_safety';
    }
  }
}
