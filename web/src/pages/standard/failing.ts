/** How many cameras were judged by a standard last, and how many of them fail each rule (absent: none). */
export interface Failing {
  standard: string;
  judged: number;
  rules: Record<string, number>;
}
