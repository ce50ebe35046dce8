"""Everything that writes or reads a publication: its versions, the report and its charts, explanations, exports."""
