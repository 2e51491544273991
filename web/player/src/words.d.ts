declare module 'virtual:camhub-words/vi' {
  const words: Record<string, string>;
  export default words;
}
declare module 'virtual:camhub-words/en' {
  const words: Record<string, string | { one: string; other: string }>;
  export default words;
}
