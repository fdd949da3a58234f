// The one entry: each module attaches its own listeners. Everything works on elements that htmx may replace, so listeners
// sit on the document and look elements up by id when something happens.
import "./swap.js";
import "./live.js";
import "./composer.js";
import "./scroll.js";
import "./shell.js";
import "./copy.js";
import "./downloads.js";
import "./ahead.js";
