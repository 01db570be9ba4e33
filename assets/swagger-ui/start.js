// Swagger UI on this host's own description. A file, not inline script: our content security policy allows no other.
window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
});
