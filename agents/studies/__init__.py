"""Studies whose results the pages in results/ report."""
