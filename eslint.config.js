import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2023, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-unused-vars": "error",
      eqeqeq: ["error", "always", { null: "ignore" }], // `== null` asks for null and undefined at once
      "prefer-const": ["error", { destructuring: "all" }],
      "no-var": "error",
      "max-lines": ["error", 300],
      "max-len": ["error", { code: 120 }],
    },
  },
];
