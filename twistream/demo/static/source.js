// The source code on a page is open where there is room for it, and closed on a phone.

const wide = matchMedia("(min-width: 48rem)").matches;
for (const details of document.querySelectorAll("details.source")) details.open = wide;
