SwaggerUIBundle({
  dom_id: "#swagger-ui",
  spec: JSON.parse(document.getElementById("document").textContent),
  deepLinking: true,
  docExpansion: "list",
  showCommonExtensions: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
});
