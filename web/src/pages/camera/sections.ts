/** The sections of a camera's page, in order. To add one: a line here and a text `tab.ID` in both catalogues. */
import type { Component } from 'svelte';
import { session } from '../../lib/session.svelte';
import type { CameraDetail } from '../../lib/types';

export interface SectionProps {
  camera: CameraDetail;
  /** Ask for the camera again, after something about it was changed. */
  reload: () => void;
}
export interface Section {
  id: string;
  load: () => Promise<{ default: Component<SectionProps> }>;
  shown?: (camera: CameraDetail) => boolean;
}

const staff = (): boolean => !session.isDonor;
const mayReadStatements = (camera: CameraDetail): boolean => session.user?.role !== 'viewer' || session.user.custodian_id === camera.custodian.id;

export const SECTIONS: Section[] = [
  { id: 'report', load: () => import('./Report.svelte') },
  { id: 'push', load: () => import('./Push.svelte'), shown: (camera) => camera.pushes === true && (session.can('cameras.write') || session.user?.custodian_id === camera.custodian.id) },
  { id: 'facts', load: () => import('./Facts.svelte') },
  { id: 'condition', load: () => import('./Condition.svelte') },
  { id: 'history', load: () => import('./History.svelte') },
  { id: 'whatif', load: () => import('./WhatIf.svelte'), shown: (camera) => staff() && camera.last_assessment !== null },
  { id: 'events', load: () => import('./Events.svelte'), shown: (camera) => staff() && camera.custodian.kind === 'authority' },
  { id: 'declarations', load: () => import('./Declarations.svelte'), shown: (camera) => mayReadStatements(camera) },
  { id: 'masks', load: () => import('./Masks.svelte'), shown: (camera) => session.can('cameras.write') || session.user?.custodian_id === camera.custodian.id },
  { id: 'sharing', load: () => import('./Sharing.svelte') },
];
