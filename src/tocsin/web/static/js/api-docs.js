"use strict";
// Shows the OpenAPI document, wherever Tocsin stands. Requests from this page rest on the session, so they carry its form token.
window.ui = SwaggerUIBundle({
  url: new URL("../../api/v1/openapi.json", document.currentScript.src).href,
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  validatorUrl: null,
  syntaxHighlight: false,
});
