/** Who is signed in, and whether the server answers. */
import { ask, configure, get, post, Problem } from './api';
import type { Right, User } from './types';

class Session {
  user = $state.raw<User | null>(null);
  /** `loading` until the first answer of `/me`; `expired` keeps the page and asks for the password over it. */
  state = $state<'loading' | 'out' | 'in' | 'expired' | 'unreachable'>('loading');
  /** Since when the server has not answered, or null. */
  lostAt = $state<Date | null>(null);

  constructor() {
    configure({
      unauthorized: () => {
        if (this.state === 'in') this.state = 'expired';
      },
      reached: (ok) => this.reached(ok),
    });
  }

  reached(ok: boolean): void {
    if (ok) this.lostAt = null;
    else this.lostAt ??= new Date();
  }

  async load(): Promise<void> {
    try {
      this.user = await get<User>('/me');
      this.state = 'in';
    } catch (error) {
      this.state = error instanceof Problem && error.status === 401 ? 'out' : 'unreachable';
    }
  }

  async signIn(username: string, password: string): Promise<User> {
    const { user } = await post<{ user: User }>('/login', { username, password });
    const changed = this.user !== null && this.user.id !== user.id;
    if (changed) {
      location.assign('/'); // another person must not inherit the page of the one before
      return user;
    }
    this.user = user;
    this.state = 'in';
    return user;
  }

  async signOut(): Promise<void> {
    try {
      await post('/logout');
    } finally {
      location.assign('/');
    }
  }

  async update(changes: Record<string, unknown>): Promise<void> {
    this.user = (await ask<User>('PATCH', '/me', { body: changes })).data;
  }

  can(right: Right): boolean {
    return this.user?.rights.includes(right) ?? false;
  }
  get isDonor(): boolean {
    return this.user?.role === 'donor';
  }
}

export const session = new Session();
