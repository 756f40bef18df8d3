"use strict";
// Shows /api/v1/openapi.json. Requests from this page rest on the session, so they carry its form token.
window.ui = SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  validatorUrl: null,
  syntaxHighlight: false,
});
