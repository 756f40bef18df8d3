// What every page does. Small on purpose: dialogs and menus are native (command/commandfor, popover), requests are htmx.
// Every page works without it; it adds keys, ticking clocks, toasts, busy forms and the live state.
import "./theme.js";
import "./clocks.js";
import "./dialogs.js";
import "./drafts.js";
import "./keys.js";
import "./counts.js";
import "./live.js";
import "./palette.js";
import "./lists.js";
import "./menus.js";
import "./pickers.js";
import "./swaps.js";
import "./timeline.js";
import "./entity.js";
import { focusFirstBad } from "./forms.js";

focusFirstBad(document);
